"""Who may run the exporter, and what it may still do when it runs: nothing that its user may not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.state import snapshot
from tests.privileges.users import as_user, open_folder, powers, processes, serving_as_user, statuses
from tests.serving import FAST, Serving, until
from tests.simnet import Simnet

ROOT = Path(__file__).parents[2]
RANGE = Path("/proc/sys/net/ipv4/ping_group_range")
#: One device is polled by SNMP too, by a process of its own; nobody answers there.
POLLED = ", snmp: {auth: a, port: 9}"
SNMP = "snmp: {timeout: 1s, retries: 0, auths: {a: {version: 2, community: public}}}\n"


@pytest.fixture
def net(shared_simnet: Simnet) -> Iterator[Simnet]:
    """10.1.0.0/16 and fd00::1 answer; datagram ICMP sockets are granted to nobody."""
    shared_simnet.set("10.1.0.0/16", latency=0.002)
    shared_simnet.set("fd00::1", latency=0.002)
    grant(shared_simnet, "1 0")
    yield shared_simnet
    grant(shared_simnet, "1 0")


def grant(net: Simnet, groups: str) -> None:
    net.inside(RANGE.write_text, groups)


def follow(serving: Serving, kind: str, *, prefix: list[str]) -> list[int]:
    """Start, then reload an inventory that is the first with an IPv6 device; the processes that there are.

    No thread of theirs has a capability, before and after, and none can gain one.
    """
    serving.configure(FAST + SNMP)
    serving.devices({"a": "10.1.1.1"}, POLLED)
    serving.start_ready(prefix=prefix)
    serving.until_page(lambda page: page.devices("ward_device_up") == {"a": 1})
    pids = running(serving)
    assert powers(pids) == set()
    serving.devices({"a": "10.1.1.1", "six": "fd00::1"}, POLLED)
    assert serving.reload().status == 200
    page = serving.until_page(lambda page: page.devices("ward_device_up") == {"a": 1, "six": 1})
    assert page.samples("ward_probe_socket_info", kind=kind) == [1, 1]
    assert page.value("ward_device_packet_loss_ratio", "a") == 0
    assert powers(pids) == set()
    assert {status["NoNewPrivs"] for pid in pids for status in statuses(pid)} == {"1"}
    return pids


def running(serving: Serving) -> list[int]:
    """The exporter's process and its poller."""
    assert serving.process is not None
    pids = processes(serving.process.pid)
    assert len(pids) == 2
    poller = Path(f"/proc/{pids[1]}/cmdline")
    until(lambda: b"exporter.snmp.poller" in poller.read_bytes())
    return pids


def test_a_user_with_net_raw_alone(net: Simnet) -> None:
    """CAP_NET_RAW is enough, and is gone when the sockets are open: poller processes never have it."""
    with serving_as_user(net) as serving:
        pids = follow(serving, "raw", prefix=as_user(serving.folder, "net_raw"))
        assert {status["Uid"].split()[0] for status in statuses(pids[0])} == {"9841"}
        assert serving.end() == 0
        assert (serving.storage / snapshot.NAME).exists()


def test_a_user_with_ping_group_range_alone(net: Simnet) -> None:
    """Without any capability, a sysctl that names the user's group is enough."""
    grant(net, "9841 9841")
    with serving_as_user(net) as serving:
        pids = follow(serving, "dgram", prefix=as_user(serving.folder))
        assert {status["CapBnd"] for status in statuses(pids[0])} == {"0" * 16}
        assert serving.end() == 0


def test_a_user_with_neither(net: Simnet) -> None:
    """The start fails with status 1, and says in plain words what to grant."""
    with serving_as_user(net) as serving:
        serving.devices({"a": "10.1.1.1"})
        said = serving.failed_start(prefix=as_user(serving.folder))
        assert "CAP_NET_RAW" in said
        assert "net.ipv4.ping_group_range" in said
        assert "Traceback" not in said


def test_root_becomes_powerless_too(net: Simnet) -> None:
    """Started by root it keeps nothing either, and not even a set that a program it starts could gain from."""
    with open_folder(owner=0) as folder, Serving(folder, net) as serving:
        pids = follow(serving, "raw", prefix=[])
        assert {status["CapBnd"] for pid in pids for status in statuses(pid)} == {"0" * 16}
        assert serving.end() == 0


def run(net: Simnet, program: str, *arguments: str) -> str:
    done = net.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


def test_root_with_threads_of_a_library(net: Simnet) -> None:
    """What the environment says of numpy's own threads does not count: none of them keeps a capability."""
    with open_folder(0) as folder, Serving(folder, net) as serving:
        serving.configure(FAST)
        serving.devices({"a": "10.1.1.1"})
        serving.start_ready(prefix=["env", "OPENBLAS_NUM_THREADS=3"])
        assert serving.process is not None
        assert len(statuses(serving.process.pid)) > 1
        assert powers([serving.process.pid]) == set()
        assert serving.end() == 0


def test_a_thread_that_came_too_early(net: Simnet) -> None:
    """One that has capabilities when the others have dropped theirs is an error: nothing goes on with it."""
    program = """
import threading
from exporter import privileges
from exporter.errors import PrivilegeError
end = threading.Event()
early = threading.Thread(target=end.wait)
early.start()
privileges.confine()
privileges.drop()
try:
    privileges.check_threads()
except PrivilegeError as error:
    print(error)
end.set()
early.join()
privileges.check_threads()
"""
    said = run(net, program)
    assert "keeps capabilities" in said


def test_a_receive_buffer_outlives_the_right_to_it(net: Simnet) -> None:
    """What root was granted beyond net.core.rmem_max stays when a reload asks for another size."""
    program = """
import socket
from exporter import privileges
from exporter.icmp.channel import Channel
privileges.confine()
channel = Channel(socket.AF_INET, True, 64 << 20, 65_536)
privileges.drop()
for size in (1 << 20, 64 << 20):
    channel.set_buffer(size)
    print(channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >> 20)
"""
    assert run(net, program).split() == ["128", "128"]


def test_a_receive_buffer_that_is_too_small_is_told(net: Simnet) -> None:
    """Who may have no more than net.core.rmem_max reads in the log how much more this inventory needs."""
    granted = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with serving_as_user(net) as serving:
        serving.devices({"a": "10.1.1.1"})
        serving.start_ready(prefix=as_user(serving.folder, "net_raw"))
        assert "net.core.rmem_max" not in serving.log.read_text()
        # Of five probes a second, some 2 KB a device.
        many = range(granted // 2000 + 10)
        serving.devices({f"d{number}": f"10.1.{number >> 8}.{number & 255}" for number in many})
        assert serving.reload().status == 200
        said = re.search(r"a receive buffer of (\d+) KiB.* net.core.rmem_max=(\d+)", serving.log.read_text())
        assert said
        assert int(said[1]) == granted >> 10
        assert int(said[2]) > granted


def test_root_in_a_place_that_is_closed_to_it(net: Simnet) -> None:
    """Where root may read the program only by force, the start says so, and what to do."""
    program = """
import sys
from exporter import privileges
from exporter.errors import PrivilegeError
sys.executable = sys.argv[1]
privileges.confine()
privileges.check_reach()
privileges.drop()
try:
    privileges.check_reach()
except PrivilegeError as error:
    print(error)
"""
    with open_folder() as folder:
        python = folder / "python"
        python.symlink_to(sys.executable)
        folder.chmod(0o700)
        said = run(net, program, str(python))
        os.chown(folder, 0, 0)
    assert f"may not read {python}" in said
    assert "setpriv" in said
