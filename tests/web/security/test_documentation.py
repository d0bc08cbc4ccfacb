"""docs/security.md against the code: the numbers, and the tests that it names."""

from __future__ import annotations

import re
from pathlib import Path

from exporter.web import connections, limits, passwords, server

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs" / "security.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    """A line that leads to a test leads to one that there is, in this folder or as a path."""
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name for path in HERE.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert len(named) > 20
    assert named <= there
    for path in re.findall(r"`(test_\w+\.py)`", PAGE):
        assert (HERE / path).is_file()
    for path in re.findall(r"`(tests/[\w/]+)`", PAGE):
        assert (HERE.parents[2] / path).is_dir()


def row(what: str) -> str:
    """How much, by the table of limits."""
    (line,) = re.findall(rf"^\| {re.escape(what)} \| (.*?) \|", PAGE, re.MULTILINE)
    return str(line)


def test_the_limits_are_those_of_the_code() -> None:
    """Each number of the table is the one that holds."""
    kib = 2**10
    assert row("connections").startswith(f"{connections._MOST:,}, or half")
    assert row("TLS handshake") == f"{server._HANDSHAKE_SECONDS:g} s"
    assert (
        row("request line and header") == f"{connections.HEADER_SECONDS:g} s, {connections.MAX_HEADER // kib} KiB"
    )
    assert row("body") == f"{connections.BODY_SECONDS:g} s, {connections.MAX_BODY // kib} KiB"
    assert row("parsed of one client at a time") == f"{connections._PIECE // kib} KiB"
    assert row("requests at once").startswith(
        f"{limits.MOST_REQUESTS}, others wait for up to {limits.WAIT_SECONDS:g} s"
    )
    stall = (
        f"{connections.STALL_SECONDS:g} s for each {limits._PIECE // kib} KiB; {limits._PATIENCE_SECONDS:g} s when"
    )
    assert row("a client that does not read").startswith(stall)
    kib_a_second = limits._PIECES_A_SECOND * limits._PIECE // kib
    assert row("a client that reads slowly") == (
        f"{limits._PATIENCE_SECONDS:g} s of waiting for it in all at less than {kib_a_second} KiB a second, "
        f"{limits._SLOW_SECONDS:g} s at any speed, when others wait for a place"
    )
    checks = f"{passwords.MOST_CHECKS}, {passwords.MOST_OF_A_NETWORK} of one IPv4 address or IPv6 /64"
    assert row("passwords that wait to be checked") == checks
    assert row("requests that wait for a password to be checked").startswith(f"{passwords.MOST_WAITING} of one")
    assert row("a connection between requests") == f"{connections.KEEP_ALIVE_SECONDS} s"
