"""`ward-exporter discover` in a network of its own: what it finds, and that it sends nowhere else."""

from __future__ import annotations

import ipaddress
import os
import pty
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.serving import PROGRAM, until
from tests.simnet import Simnet
from tests.simnet.packets import ICMP, ICMP6
from tests.snmp.test_v3 import GOOD, PASSWORD, PRIV_PASSWORD, users
from tests.tools.discovering import (
    QUICK,
    UDP,
    InsideSnmpd,
    Wire,
    add_addresses,
    agents,
    by_address,
    check,
    discover,
    hosts,
    system,
)

SNMP = "snmp: {timeout: 200ms, retries: 0, auths: {branch: {version: 2, community: public}}}\n"
INVENTORY = "inventory: [{file: devices/*.yml}]\n"
CISCO = (9, 1, 1208)
C2960X = b"Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version 15.2(2)E7"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ward.yml"
    path.write_text(QUICK + SNMP + INVENTORY)
    return path


def test_agents_are_asked_and_classified(shared_simnet: Simnet, config: Path) -> None:
    """Vendor, model, role and name are the device's own; the file is one that check accepts."""
    net = shared_simnet
    devices = {
        "10.4.0.11": system(b"sw1", CISCO, C2960X),
        "10.4.0.12": system(b"fw1", (12356, 101, 1, 1), b"FortiGate"),
        "10.4.0.5": system(b"ce1", (14988, 1), b"RouterOS RB4011iGS+"),
        "fd00:4::7": system(b"srv1", (8072, 3, 2, 10), b"Linux srv1 6.1"),
    }
    file = config.parent / "devices" / "found.yml"
    ranges = ("10.4.0.0/28", "fd00:4::/125")
    with Wire(net) as wire, agents(net, devices):
        done = discover(net, f"--config.file={config}", f"--output={file}", "--site=tbilisi-01", *ranges)
    assert (done.status, done.out) == (0, "")
    site = {"site": "tbilisi-01"}
    snmp = {"snmp": {"auth": "branch"}}
    assert yaml.safe_load(file.read_text())["devices"] == [
        {"name": "ce1", "address": "10.4.0.5", **site, "vendor": "MikroTik", "model": "RB4011iGS+"}
        | {"labels": {"type": "router"}, **snmp},
        {
            "name": "sw1",
            "address": "10.4.0.11",
            **site,
            "role": "switch",
            "vendor": "Cisco",
            "model": "C2960X",
            **snmp,
        },
        {"name": "fw1", "address": "10.4.0.12", **site, "role": "firewall", "vendor": "Fortinet", **snmp},
        {"name": "srv1", "address": "fd00:4::7", **site, "role": "server", "vendor": "Linux", **snmp},
    ]
    assert check(config) == "OK: 4 devices, 1 site, 1 ISP link\n"
    assert done.err.splitlines() == [
        "22 addresses: 4 answer ping, 4 SNMP",
        f"written to {file}: 4 devices, 1 ISP link",
    ]
    # SNMP is asked of those that answer a ping, and of nobody else.
    assert wire.targets(UDP) == set(devices)
    assert wire.targets(ICMP) | wire.targets(ICMP6) <= {
        *hosts("10.4.0.0/28"),
        *map(str, ipaddress.ip_network("fd00:4::/125")),
    }


def test_silent_addresses_are_asked_on_request(shared_simnet: Simnet, config: Path) -> None:
    """With --all a device that answers SNMP and no ping is found, and said to be one."""
    net = shared_simnet
    with agents(net, {"10.5.0.3": system(b"sw3", CISCO)}):
        net.run(["sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1"], check=True)
        try:
            without = discover(net, f"--config.file={config}", "10.5.0.0/29")
            with Wire(net) as wire:
                done = discover(net, f"--config.file={config}", "--all", "10.5.0.0/29")
        finally:
            net.run(["sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0"], check=True)
    assert (without.status, without.out) == (0, "")
    assert without.err.endswith("nothing new: nothing is written\n")
    assert [row["name"] for row in done.rows.values()] == ["sw3"]
    assert "# answers SNMP, but no ping" in done.out
    assert wire.targets(UDP) == set(hosts("10.5.0.0/29"))


def test_auths_are_tried_in_their_order(shared_simnet: Simnet, config: Path) -> None:
    """One after another until one is right; --auth names which, and in which order."""
    net = shared_simnet
    wards = ", ".join(f"{name}: {{version: 2, community: c-{name}}}" for name in ("one", "two", "three"))
    config.write_text(QUICK + INVENTORY + f"snmp: {{timeout: 200ms, retries: 0, auths: {{{wards}}}}}\n")
    with agents(net, {"10.6.0.1": system(b"sw1")}, "c-two") as running:
        heard = running["10.6.0.1"].heard
        done = discover(net, f"--config.file={config}", "10.6.0.1")
        assert done.rows["10.6.0.1"]["snmp"] == {"auth": "two"}
        assert heard == [b"c-one", b"c-two"]
        heard.clear()
        done = discover(net, f"--config.file={config}", "--auth=three", "--auth=two", "10.6.0.1")
        assert done.rows["10.6.0.1"]["snmp"] == {"auth": "two"}
        assert heard == [b"c-three", b"c-two"]
        heard.clear()
        done = discover(net, f"--config.file={config}", "--auth=one", "10.6.0.1")
        assert done.rows["10.6.0.1"] == {"name": "10.6.0.1", "address": "10.6.0.1"}
        assert heard == [b"c-one"]
    unknown = discover(net, f"--config.file={config}", "--auth=thre", "10.6.0.1")
    assert (unknown.status, unknown.err) == (1, "--auth: no auth has the name 'thre'; did you mean 'three'?\n")


def test_net_snmp(shared_simnet: Simnet, config: Path, tmp_path: Path) -> None:
    """Real agents by SNMPv2c and SNMPv3: one device under all its addresses, and no secret anywhere."""
    net = shared_simnet
    name, level, auth, _, priv, _ = GOOD
    secrets = [PASSWORD, PRIV_PASSWORD, "not this one", "c0mmunity"]
    user = f"username: {name}, security_level: {level}, auth_protocol: {auth}, priv_protocol: {priv}"
    config.write_text(
        QUICK
        + INVENTORY
        + "snmp:\n  timeout: 500ms\n  retries: 1\n  auths:\n"
        + "    other: {version: 2, community: not this one}\n"
        + f"    wrong: {{version: 3, {user}, password: not this one, priv_password: {PRIV_PASSWORD}}}\n"
        + f"    secure: {{version: 3, {user}, password: {PASSWORD}, priv_password: {PRIV_PASSWORD}}}\n"
        + "    plain: {version: 2, community: c0mmunity}\n"
    )
    first, second = ["10.7.0.1", "10.7.0.9", "fd00:7::1"], ["10.7.0.2", "10.7.0.3"]
    arguments = (f"--config.file={config}", "10.7.0.0/28", "fd00:7::/125")
    with InsideSnmpd(net, first, users([GOOD])):
        by_v3 = discover(net, *arguments)
        strangers = discover(net, *arguments, "--auth=wrong")
    with InsideSnmpd(net, second, "rocommunity c0mmunity\nsysName b-host\nsysObjectID 1.3.6.1.4.1.9.1.1208"):
        by_v2 = discover(net, *arguments)
    device = {
        "name": "a-host",
        "address": "10.7.0.1",
        "role": "server",
        "vendor": "Linux",
        "snmp": {"auth": "secure"},
    }
    assert list(by_v3.rows.values()) == [device]
    assert "# also answers at 10.7.0.9, fd00:7::1" in by_v3.out
    assert set(strangers.rows) == set(first)
    assert strangers.out.count("# has SNMPv3, but knows none of the users") == len(first)
    assert by_v2.rows["10.7.0.2"]["snmp"] == {"auth": "plain"}
    # The addresses of the first one still answer pings.
    assert set(by_v2.rows) == {"10.7.0.2", *first}
    for done in (by_v3, strangers, by_v2):
        assert done.status == 0
        assert not [secret for secret in secrets if secret in done.out + done.err]


HOSTILE = {
    "10.8.0.1": b"line one\nline two\r\n- {name: evil, address: 10.99.0.1}",
    "10.8.0.2": b"\"quoted\" 'twice' \\ backslash",
    "10.8.0.3": b"\xff\xfe\x00\x1b[2Jred",
    "10.8.0.4": b"yes",
    "10.8.0.6": b"{a: b} # c, [d] & *e !f %g @h `i",
    "10.8.0.7": b"1e3",
    "10.8.0.8": "\u202egnp.exe \U0001f600 \u2028".encode(),
    "10.8.0.9": b"x" * 2000,
    "10.8.0.10": b" \t\n",
    "10.8.0.11": b"twin",
    "10.8.0.12": b"twin",
}


def test_hostile_names(shared_simnet: Simnet, config: Path) -> None:
    """Whatever devices call themselves, the file holds these devices and no others, and check accepts it."""
    net = shared_simnet
    file = config.parent / "devices" / "found.yml"
    devices = {address: system(name, CISCO, name) for address, name in HOSTILE.items()}
    with agents(net, devices):
        done = discover(net, f"--config.file={config}", f"--output={file}", "10.8.0.0/28")
    assert done.status == 0
    assert check(config) == f"OK: {len(HOSTILE)} devices, 0 sites, 0 ISP links\n"
    text = file.read_text()
    assert all(line.isprintable() for line in text.splitlines())
    names = {address: row["name"] for address, row in by_address(text).items()}
    assert names == {
        "10.8.0.1": "line one line two - {name: evil, address: 10.99.0.1}",
        "10.8.0.2": "\"quoted\" 'twice' \\ backslash",
        "10.8.0.3": "\ufffd [2Jred",
        "10.8.0.4": "yes",
        "10.8.0.6": "{a: b} # c, [d] & *e !f %g @h `i",
        "10.8.0.7": "1e3",
        "10.8.0.8": "gnp.exe \U0001f600",
        "10.8.0.9": "x" * 255,
        "10.8.0.10": "10.8.0.10",
        "10.8.0.11": "twin-10.8.0.11",
        "10.8.0.12": "twin-10.8.0.12",
    }


def test_what_is_known(shared_simnet: Simnet, config: Path) -> None:
    """It is left out and counted; a file that is written over does not make its own devices known."""
    net = shared_simnet
    folder = config.parent / "devices"
    folder.mkdir()
    (folder / "mine.yml").write_text(
        "devices:\n"
        "- {name: sw1, address: 10.9.0.1}\n"
        "- {name: old, address: 10.9.0.2}\n"
        "- {name: far, address: 10.99.0.1, parent: sw3}\n"
    )
    command = (f"--config.file={config}", f"--output={folder / 'found.yml'}", "10.9.0.0/29")
    devices = {f"10.9.0.{last}": system(b"sw%d" % last, CISCO) for last in (1, 2, 3)}
    with agents(net, devices):
        first = discover(net, *command)
        found = (folder / "found.yml").read_text()
        again = discover(net, f"--config.file={config}", "10.9.0.0/29")
        refused = discover(net, *command)
        forced = discover(net, *command, "--force")
    assert list(by_address(found)) == ["10.9.0.3"]
    assert found.splitlines()[1:4] == [
        "# Left out, for the inventory has them:",
        "#   10.9.0.1 sw1",
        "#   10.9.0.2 old, which calls itself sw2",
    ]
    assert "in the inventory already: 2, 1 of them under another name\n" in first.err
    assert (again.status, again.out) == (0, "")
    assert "in the inventory already: 3, 1 of them under another name\n" in again.err
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == f"--output: {folder / 'found.yml'} exists; expected no file, or --force\n"
    assert forced.status == 0
    assert list(by_address((folder / "found.yml").read_text())) == ["10.9.0.3"]
    assert check(config) == "OK: 4 devices, 0 sites, 0 ISP links\n"


def test_names_by_dns(shared_simnet: Simnet, config: Path) -> None:
    """DNS is asked for a name where that is wished, and a host name of the inventory is known by its address."""
    net = shared_simnet
    config.write_text(QUICK)
    without = discover(net, f"--config.file={config}", "127.0.0.1")
    named = discover(net, f"--config.file={config}", "--dns", "127.0.0.1")
    assert without.rows["127.0.0.1"]["name"] == "127.0.0.1"
    assert named.rows["127.0.0.1"]["name"] == "localhost"
    (config.parent / "own.yml").write_text("devices: [{name: myself, address: localhost}]\n")
    config.write_text(QUICK + "inventory: [{file: own.yml}]\n")
    known = discover(net, f"--config.file={config}", "--dns", "127.0.0.1")
    assert (known.status, known.out) == (0, "")
    assert "in the inventory already: 1\n" in known.err


# What does not work.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["10.1.0.5/22"], "RANGE: found '10.1.0.5/22'; expected the network 10.1.0.0/22 or the address 10.1.0.5\n"),
        (["10.0.0.0/19"], "the ranges hold 8,190 addresses; expected at most 4,096, or --yes\n"),
        (["--yes", "10.0.0.0/11"], "the ranges hold 2,097,150 addresses; expected at most 1,048,576\n"),
        (["--rate=0", "10.0.0.1"], "--rate: found 0; expected 1 to 100,000 packets a second\n"),
        (["--site= ", "10.0.0.1"], "--site: found ' '; expected one line of text with no blank at its ends\n"),
        (["--output=/", "10.0.0.1"], "--output: / is a directory, device or pipe; expected a regular file\n"),
        (["--auth=a", "10.0.0.1"], "--auth: no auth has the name 'a'; snmp.auths in ward.yml has none\n"),
    ],
)
def test_refusals(shared_simnet: Simnet, words: Sequence[str], message: str) -> None:
    """What cannot be done as asked is status 1, with what was found and expected, before anything is sent."""
    with Wire(shared_simnet) as wire:
        done = discover(shared_simnet, *words)
    assert (done.status, done.out, done.err) == (1, "", message)
    assert wire.sent == []


@pytest.mark.parametrize("stage", ["pings", "SNMP"])
def test_an_interruption(shared_simnet: Simnet, config: Path, stage: str) -> None:
    """Ctrl-C ends it at once, whatever it waits for: it writes nothing, says so, and is status 130."""
    net = shared_simnet
    auths = "auths: {a: {version: 2, community: public}}"
    config.write_text(f"probe: {{timeout: 1m}}\nsnmp: {{interval: 1h, timeout: 1m, {auths}}}\n")
    if stage == "SNMP":
        net.set("10.10.0.0/28", latency=0.001)
    file = config.parent / "found.yml"
    words = ["discover", f"--config.file={config}", f"--output={file}", "10.10.0.0/28"]
    with Wire(net) as wire:
        # A test run in the background of a shell ignores SIGINT, and so would its children.
        program = net.popen(["env", "--default-signal=INT", PROGRAM, *words], stderr=subprocess.PIPE, text=True)
        until(lambda: bool(wire.targets(UDP if stage == "SNMP" else ICMP)))
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=10)
    assert (program.returncode, err) == (130, "interrupted: nothing is written\n")
    assert list(config.parent.iterdir()) == [config]


def test_progress_on_a_terminal(shared_simnet: Simnet, config: Path) -> None:
    """A terminal sees how far it is, on standard error; without one there is nothing but the summary."""
    net = shared_simnet
    add_addresses(net, hosts("10.11.0.0/29"))
    words = [f"--config.file={config}", "10.11.0.0/29"]
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    program = net.popen(
        [PROGRAM, "discover", *words], stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:
        pass  # Linux's way to tell that the other end is closed.
    out, _ = program.communicate(timeout=60)
    os.close(ours)
    plain = discover(net, *words)
    assert list(by_address(out)) == list(plain.rows) == hosts("10.11.0.0/29")
    assert b"ping" in seen
    assert b"6/6" in seen
    summary = ["6 addresses: 6 answer ping, 0 SNMP", "written to standard output: 6 devices, 1 ISP link"]
    assert plain.err.splitlines() == summary
    assert seen.decode().replace("\r", "").splitlines()[-1] == summary[-1]
