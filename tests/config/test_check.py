"""`check`: all problems or a summary, and the exit code."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from exporter.inventory.device import Device
from exporter.tools.check import check, unresolved


def checked(file: Path | None) -> tuple[int, list[str]]:
    """Exit code and lines of a check."""
    out = io.StringIO()
    code = check(file, out)
    return code, out.getvalue().splitlines()


def test_the_embedded_configuration_is_right() -> None:
    """Without a file the demonstration is checked, and holds."""
    assert checked(None) == (0, ["OK: 12 devices, 3 sites, 4 ISP links"])


def test_problems_are_sorted_by_file_and_line(tmp_path: Path) -> None:
    """Every problem of every file is printed, in the order of files and lines; the code is 1."""
    (tmp_path / "b.yml").write_text("devices:\n  - {name: x, address: 10.1}\n  - {address: 10.1.1.1}\n")
    (tmp_path / "a.csv").write_text("name,address\ny,10.1.1.256\n")
    (tmp_path / "ward.yml").write_text("inventory: [{file: b.yml}, {file: a.csv}]")
    code, lines = checked(tmp_path / "ward.yml")
    assert code == 1
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in lines] == [
        "a.csv:2",
        "b.yml:2",
        "b.yml:3",
        "FAILED",
    ]
    assert lines[-1] == "FAILED: 3 problems"


def test_bad_settings_do_not_hide_bad_devices(tmp_path: Path) -> None:
    """Problems of the settings and of the devices are told together, those of one device too."""
    (tmp_path / "a.yml").write_text("devices:\n  - {name: x, address: 10.1}\n  - {name: x, addres: 10.1.1.1}\n")
    (tmp_path / "ward.yml").write_text("probe: {intervall: 1s}\ninventory: [{file: a.yml}]")
    code, lines = checked(tmp_path / "ward.yml")
    assert code == 1
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in lines[:-1]] == [
        *("a.yml:2", "a.yml:3", "a.yml:3", "a.yml:3"),
        "ward.yml:1",
    ]


def test_module_files_are_checked_too(tmp_path: Path) -> None:
    """What is wrong in a file of SNMP modules is told with its line, and a device that asks for an unknown one."""
    (tmp_path / "own.yml").write_text("modules:\n  own:\n    walk: [1.3.6.1.x]\n")
    (tmp_path / "a.yml").write_text("devices: [{name: a, address: 10.1.1.1, snmp: {auth: b, modules: [own]}}]\n")
    auths = "auths: {b: {version: 2, community: public}}"
    files = "inventory: [{file: a.yml}]"
    (tmp_path / "ward.yml").write_text(f"snmp: {{modules: [own.yml, none.yml], {auths}}}\n{files}\n")
    code, lines = checked(tmp_path / "ward.yml")
    assert code == 1
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[:2] for line in lines] == [
        ["own.yml:3", "modules.own.walk[0]"],
        ["ward.yml", "snmp.modules[1]"],
        ["FAILED", "2 problems"],
    ]
    (tmp_path / "ward.yml").write_text(f"snmp: {{{auths}}}\n{files}\n")
    code, lines = checked(tmp_path / "ward.yml")
    assert code == 1
    assert "snmp.modules: the device a asks for the module 'own'; there are checkpoint, " in lines[0]


def test_a_secret_that_everybody_may_read_is_a_warning(tmp_path: Path) -> None:
    """A secret's file that is open to all users is told of, with its mode; a closed one, and a group's, are not."""
    secret = tmp_path / "branch"
    secret.write_text("public\n")
    (tmp_path / "a.yml").write_text("devices: [{name: a, address: 10.1.1.1}]\n")
    (tmp_path / "ward.yml").write_text(
        "snmp: {auths: {b: {version: 2, community_file: branch}}}\ninventory: [{file: a.yml}]"
    )
    for mode, warned in ((0o644, True), (0o444, True), (0o640, False), (0o400, False)):
        secret.chmod(mode)
        code, lines = checked(tmp_path / "ward.yml")
        assert code == 0
        warning = f"warning: {secret} holds a secret, and everybody on this machine may read it (mode {mode:04o})"
        assert (warning in lines) is warned


def test_warnings_are_printed_and_harmless(tmp_path: Path) -> None:
    """A shared address and a name that does not resolve are warnings: the code stays 0."""
    (tmp_path / "a.yml").write_text(
        "devices:\n"
        "  - {name: a, address: 10.1.1.1}\n"
        "  - {name: b, address: 10.1.1.1}\n"
        "  - {name: c, address: no-such-host.invalid}\n"
    )
    (tmp_path / "ward.yml").write_text("inventory: [{file: a.yml}]")
    code, lines = checked(tmp_path / "ward.yml")
    assert code == 0
    assert len(lines) == 3
    assert lines[0].endswith(f"a.yml:3: 'b' has the address 10.1.1.1 of 'a' ({tmp_path}/a.yml:2)")
    assert lines[1].startswith("warning: 'c': the host name 'no-such-host.invalid' cannot be resolved: ")
    assert lines[2] == "OK: 3 devices, 0 sites, 0 ISP links, 2 warnings"


@pytest.mark.parametrize("count", [1, 40])
def test_names_that_resolve_are_not_told(count: int) -> None:
    """Many devices with one good name give no warning, and names are looked up once."""
    assert unresolved([Device(name=f"d{row}", address="localhost") for row in range(count)], 30.0) == []


def test_looking_up_ends_in_time() -> None:
    """A resolver that gives no answer in time is told as that."""
    found = unresolved([Device(name="a", address="no-such-host.invalid")], 0.0)
    assert len(found) == 1
    assert "cannot be resolved" in found[0]
