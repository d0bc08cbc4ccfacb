"""The inventory as the prober uses it: addresses, packet profiles, and names that come and go."""

from __future__ import annotations

import ctypes
import socket
from ipaddress import ip_address

import pytest

from exporter.icmp.arrivals import words
from exporter.icmp.plan import PENDING, RESOLVED, UNRESOLVED, Plan
from exporter.icmp.transport import Profile
from exporter.inventory.device import Device, ProbeOptions


def plan(*addresses: str, known: dict[str, str] | None = None, probe: ProbeOptions | None = None) -> Plan:
    options = probe or ProbeOptions()
    devices = [Device(name=f"d{n}", address=address, probe=options) for n, address in enumerate(addresses)]
    return Plan(devices, known or {})


def profile(made: Plan, row: int) -> Profile:
    return made.profiles[int(made.profile[row])]


@pytest.mark.parametrize("address", ["10.1.1.5", "fd00:1::5", "::1", "255.255.255.254"])
def test_an_address_is_ready_to_send_to(address: str) -> None:
    """The kernel's struct, the halves that replies are compared with, and the text are of the same address."""
    made = plan("10.9.9.9", address)
    packed = ip_address(address).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    name = ctypes.string_at(int(made.names[1]), 28)
    assert int.from_bytes(name[:2], "little") == family
    assert name[2:4] == b"\0\0"
    assert (name[4:8] if family == socket.AF_INET else name[8:24]) == packed
    assert (int(made.high[1]), int(made.low[1])) == words(packed)
    assert made.address(1) == address
    assert profile(made, 1).family == family
    assert made.state.tolist() == [RESOLVED] * 3


def test_the_last_row_is_loopback() -> None:
    """The loop's own reference stands behind the devices, plain whatever they ask for."""
    made = plan("10.1.1.5", probe=ProbeOptions(payload_bytes=1400, dscp=46))
    assert made.address(1) == "127.0.0.1"
    assert profile(made, 1) == Profile(socket.AF_INET, 56, 0, False, "")
    assert made.max_payload == 1400


def test_profiles_are_shared() -> None:
    """Devices that are probed alike share one profile; each family has its own."""
    made = plan("10.1.1.5", "10.1.1.6", "fd00::1", "fd00::2")
    assert [profile(made, row).family for row in range(5)] == [2, 2, 10, 10, 2]
    assert len(made.profiles) == 2


@pytest.mark.parametrize(("source", "expected"), [("10.0.0.9", ("10.0.0.9", "")), ("fd00::9", ("", "fd00::9"))])
def test_a_source_is_for_its_own_family(source: str, expected: tuple[str, str]) -> None:
    """A source address of the other family is not asked of the kernel."""
    made = plan("10.1.1.5", "fd00::1", probe=ProbeOptions(source=source))
    assert (profile(made, 0).source, profile(made, 1).source) == expected


def test_a_name_waits_for_its_first_answer() -> None:
    """A name is pending until it is resolved or fails, and what it was last resolved to stays."""
    made = plan("host.example", "10.1.1.5", "host.example")
    assert made.state.tolist() == [PENDING, RESOLVED, PENDING, RESOLVED]
    assert made.hosts == {"host.example": [0, 2]}
    assert made.address(0) == ""
    made.resolve("host.example", None)
    assert made.state.tolist() == [UNRESOLVED, RESOLVED, UNRESOLVED, RESOLVED]
    made.resolve("host.example", "10.2.2.2")
    assert [made.address(row) for row in range(3)] == ["10.2.2.2", "10.1.1.5", "10.2.2.2"]
    made.resolve("host.example", "fd00::7")
    assert made.address(2) == "fd00::7"
    assert profile(made, 2).family == socket.AF_INET6
    made.resolve("host.example", None)
    assert made.address(0) == "fd00::7"
    made.resolve("unknown.example", "10.3.3.3")


@pytest.mark.parametrize("answer", ["fe80::1%lo", "", "nonsense"])
def test_an_answer_that_is_no_address(answer: str) -> None:
    """What cannot be sent to counts as no answer."""
    made = plan("host.example")
    made.resolve("host.example", answer)
    assert made.state[0] == UNRESOLVED
    made.resolve("host.example", "10.2.2.2")
    made.resolve("host.example", answer)
    assert made.address(0) == "10.2.2.2"


def test_addresses_known_before_a_reload() -> None:
    """After a reload a name goes on with the address that it had."""
    made = plan("host.example", "other.example", known={"host.example": "10.2.2.2"})
    assert made.address(0) == "10.2.2.2"
    assert made.state[1] == PENDING


def test_order_and_phases_belong_together() -> None:
    """Rows in order of phase, every row once, all phases within the interval."""
    made = plan(*(f"10.0.{n >> 8}.{n & 255}" for n in range(500)))
    assert sorted(made.order.tolist()) == list(range(501))
    assert (made.phases[:-1] <= made.phases[1:]).all()
    assert made.phases[0] >= 0
    assert made.phases[-1] < 1
