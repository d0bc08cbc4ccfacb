"""Names to addresses, off the probe loop: in a network namespace without any network, and with scripted answers."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from exporter.icmp import resolver as module
from exporter.icmp.resolver import Resolver
from tests.simnet import kernel

Answers = list[tuple[str, str | None]]


@pytest.fixture
def nowhere() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Runs a function where there is no network: a lookup fails at once, and sends nothing."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(kernel.new_network_namespace).result()
        yield lambda function: thread.submit(function).result()


def until(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.005)


class Zone:
    """Scripted answers of getaddrinfo: addresses by host, an empty list for none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> None:
        self.hosts = hosts
        self.asked: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        monkeypatch.setattr(socket, "getaddrinfo", self.answer)

    def answer(self, host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host in self.gates:
            assert self.gates[host].wait(20)
        if not self.hosts.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(2, 2, 17, "", (address, 0)) for address in self.hosts[host]]


def test_real_lookups(nowhere: Callable[[Callable[[], None]], None], caplog: pytest.LogCaptureFixture) -> None:
    """A name of this machine is found; one that cannot be found is told with None, and logged once."""
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    hosts = ["localhost", "nobody.invalid", "two..dots", "x" * 70 + ".invalid"]
    with caplog.at_level(logging.WARNING):
        resolver.watch(hosts, 300)
        nowhere(resolver.start)
        until(lambda: len(found) == 4)
        resolver.watch(hosts, 300)
        until(lambda: len(found) == 8)
    assert dict(found)["localhost"] in ("127.0.0.1", "::1")
    assert {host for host, address in found if address is None} == set(hosts[1:])
    assert resolver.failed == set(hosts[1:])
    assert resolver.known == {"localhost": dict(found)["localhost"]}
    for host in hosts[1:]:
        assert caplog.text.count(f"{host} does not resolve") == 1


def test_all_names_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many seconds each name is asked for, and a new address is told."""
    zone = Zone(monkeypatch, a=["10.0.0.1"], b=["10.0.0.2"])
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["a", "b"], 0.05)
    resolver.start()
    until(lambda: len(found) >= 4)
    zone.hosts["a"] = ["10.0.0.9"]
    until(lambda: ("a", "10.0.0.9") in found)
    assert resolver.known["a"] == "10.0.0.9"
    resolver.watch([], 300)


def test_a_dead_name_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one name fails again and again, the others are resolved again in time, and their changes are told."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.02)
    zone = Zone(monkeypatch, good=["10.0.0.1"])
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["good", "bad"], 0.1)
    resolver.start()
    until(lambda: found.count(("bad", None)) >= 3)
    zone.hosts["good"] = ["10.0.0.2"]
    until(lambda: ("good", "10.0.0.2") in found)
    resolver.watch([], 300)


def test_a_name_that_takes_too_long_counts_as_none_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first answer is waited for so long; then the name has no address, until the answer comes after all."""
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "_ROUND_SECONDS", 0.02)
    zone = Zone(monkeypatch, slow=["10.0.0.1"])
    zone.gates["slow"] = threading.Event()
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["slow"], 300)
    resolver.start()
    until(lambda: ("slow", None) in found)
    assert resolver.failed == {"slow"}
    zone.gates["slow"].set()
    until(lambda: ("slow", "10.0.0.1") in found)
    until(lambda: not resolver.failed)
    resolver.watch([], 300)


def test_names_without_an_answer_are_asked_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that failed is tried again before the others' turn, and the others are left alone meanwhile."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.05)
    zone = Zone(monkeypatch, good=["10.0.0.1"])
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["good", "bad"], 300)
    resolver.start()
    until(lambda: found.count(("bad", None)) >= 3)
    zone.hosts["bad"] = ["10.0.0.2"]
    until(lambda: ("bad", "10.0.0.2") in found)
    until(lambda: not resolver.failed)
    assert zone.asked.count("good") == 1
    resolver.watch([], 300)


def test_other_names_after_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new set of names is asked for at once; failures of names that are gone are forgotten."""
    Zone(monkeypatch, a=["10.0.0.1"], b=["10.0.0.2"])
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["a", "gone"], 300)
    resolver.start()
    until(lambda: resolver.failed == {"gone"})
    resolver.watch(["a", "b"], 300)
    until(lambda: ("b", "10.0.0.2") in found)
    assert resolver.failed == set()
    resolver.watch([], 300)


def test_an_answer_for_a_name_that_has_gone_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup that fails after its name has left the inventory leaves no failure behind."""
    zone = Zone(monkeypatch)
    zone.gates["slow"] = threading.Event()
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["slow"], 300)
    resolver.start()
    until(lambda: zone.asked == ["slow"])
    resolver.watch([], 300)
    zone.gates["slow"].set()
    until(lambda: found == [("slow", None)])
    assert resolver.failed == set()


def test_a_slow_name_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one lookup hangs, all others of its round are answered."""
    hosts = {f"h{number}": [f"10.0.0.{number}"] for number in range(40)}
    zone = Zone(monkeypatch, slow=["10.0.1.1"], **hosts)
    zone.gates["slow"] = threading.Event()
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["slow", *hosts], 300)
    resolver.start()
    until(lambda: len(found) == 40)
    zone.gates["slow"].set()
    until(lambda: ("slow", "10.0.1.1") in found)
    resolver.watch([], 300)


def test_a_name_with_several_addresses_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that come in another order each time do not move a device between its addresses."""
    zone = Zone(monkeypatch, a=["10.0.0.1", "10.0.0.2"])
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["a"], 0.02)
    resolver.start()
    until(lambda: len(found) >= 1)
    zone.hosts["a"] = ["10.0.0.2", "10.0.0.1"]
    until(lambda: len(found) >= 5)
    assert set(found) == {("a", "10.0.0.1")}
    zone.hosts["a"] = ["10.0.0.2"]
    until(lambda: ("a", "10.0.0.2") in found)
    resolver.watch([], 300)


def test_link_local_answers_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with a zone is not probed: another one is taken, or there is none."""
    Zone(monkeypatch, both=["fe80::1%eth0", "fd00::1"], alone=["fe80::1%eth0"])
    found: Answers = []
    resolver = Resolver(lambda host, address: found.append((host, address)))
    resolver.watch(["both", "alone"], 300)
    resolver.start()
    until(lambda: len(found) == 2)
    assert dict(found) == {"both": "fd00::1", "alone": None}
    resolver.watch([], 300)
