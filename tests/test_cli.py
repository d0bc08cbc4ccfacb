"""The command line, and that docs/command-line.md tells the same."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli import main, parser

PAGE = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text()


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def flags(of: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {action.option_strings[-1]: action for action in of._actions if action.option_strings}


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_flag_is_documented(command: str) -> None:
    """Each flag of each command stands in its table with its default, and no other does."""
    table = re.findall(r"^\| `(--[\w.-]+)` \| (?:`(.*?)`)? ?\| \S", section(command), re.MULTILINE)
    expected = [
        (name, "" if action.default in (None, argparse.SUPPRESS) else str(action.default))
        for name, action in flags(commands()[command]).items()
    ]
    assert table == expected


def test_every_command_is_documented() -> None:
    """A command is a section of the page, the other way round too; the flags before it are in the first table."""
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert headings == [*commands(), "Exit status"]
    first = PAGE.partition("\n## ")[0]
    assert re.findall(r"^\| `(--\w+)` \|", first, re.MULTILINE) == list(flags(parser()))


def test_choices_are_documented() -> None:
    """A flag that takes one of some values has them all in its description."""
    for command, found in commands().items():
        for name, action in flags(found).items():
            (line,) = (line for line in section(command).splitlines() if line.startswith(f"| `{name}`"))
            assert all(f"`{choice}`" in line for choice in action.choices or ())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exporter", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("serve", "--no-such-flag"),
        ("serve", "--config", "x"),
        ("check", "--config.fil=x"),
        ("serve", "--log.level=loud"),
        ("serve", "--log.format=xml"),
        ("check", "--log.level=info"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake on the command line, and an abbreviation is one, is status 2 with the usage."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--version and --help answer with status 0; help names every command."""
    for arguments, expected in ((["--version"], [f"ward-exporter {__version__}"]), (["--help"], [*commands()])):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        found = capsys.readouterr().out
        assert all(word in found for word in expected)


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` is status 0 with a summary, or 1 with every problem and its place."""
    config = tmp_path / "ward.yml"
    config.write_text("inventory: [{file: devices.yml}]\n")
    (tmp_path / "devices.yml").write_text("devices:\n- {name: a, address: 127.0.0.1}\n")
    assert main(["check", f"--config.file={config}"]) == 0
    assert capsys.readouterr().out.startswith("OK: 1 device")
    (tmp_path / "devices.yml").write_text("devices:\n- {name: a, address: 127.0.0.999}\n- {name: a}\n")
    assert main(["check", f"--config.file={config}"]) == 1
    found = capsys.readouterr().out
    assert f"{tmp_path}/devices.yml:2" in found
    assert f"{tmp_path}/devices.yml:3" in found


def test_check_reads_the_web_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with the file of --web.config.file is a problem like any other."""
    web = tmp_path / "web.yml"
    web.write_text("nonsense: 1\n")
    assert main(["check", f"--web.config.file={web}"]) == 1
    assert f"{web}:1: nonsense: unknown key" in capsys.readouterr().out


def test_check_needs_no_web_server() -> None:
    """`check` loads neither the web server nor sockets: it runs where the exporter may not."""
    code = (
        "import sys; from exporter.cli import main; main(['check']);"
        "print([name for name in ('uvicorn', 'starlette', 'exporter.icmp.prober') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_is_the_same_program() -> None:
    """`python -m exporter` runs the command line and hands its status on."""
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"ward-exporter {__version__}\n")
    assert run("fly").returncode == 2


@pytest.mark.parametrize("address", ["9841", "localhost", ":", ":http", ":65536", "::1:9841", "[::1:9841"])
def test_a_wrong_listen_address(address: str, tmp_path: Path) -> None:
    """What is no host and port is said so, with status 1, before anything is read."""
    done = run("serve", f"--web.listen-address={address}", f"--storage.path={tmp_path}", "--config.file=/nowhere")
    assert done.returncode == 1
    assert done.stderr == f"--web.listen-address: found {address!r}, expected host:port, [IPv6]:port or :port\n"


def test_a_failing_start_in_json(tmp_path: Path) -> None:
    """With --log.format=json the reason of a failing start is an object as all lines are."""
    done = run("serve", "--web.listen-address=:", f"--storage.path={tmp_path}", "--log.format=json")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    found = json.loads(line)
    assert found["level"] == "critical"
    assert "--web.listen-address" in found["msg"]
