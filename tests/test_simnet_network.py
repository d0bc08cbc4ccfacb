"""The simulated network as a whole: its script over time, programs inside it, its speed, and its end."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.simnet import Simnet, SimnetError
from tests.simnet.pinger import Pinger, pinger

ROOT = Path(__file__).parents[1]
ADDRESS = "10.5.0.1"


def eventually(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)


def answers(pings: Pinger, address: str = ADDRESS) -> bool:
    return len(pings.ping(address, 1)) == 1


def log(net: Simnet) -> list[tuple[str, str]]:
    return [(event.target, event.event) for event in net.events()]


def test_cut_and_restore_keep_the_rest(shared_simnet: Simnet) -> None:
    """A cut silences an address, a restore brings it back as it was, and both are on record."""
    before = time.time(), time.monotonic()
    shared_simnet.set(ADDRESS, ttl=44)
    with pinger(shared_simnet) as pings:
        assert answers(pings)
        shared_simnet.cut(ADDRESS)
        assert not answers(pings)
        shared_simnet.restore(ADDRESS)
        assert pings.one(ADDRESS).ttl == 44
    truth = shared_simnet.truth(ADDRESS)
    assert (truth.requests, truth.replies, truth.dropped_outage) == (3, 2, 1)
    assert log(shared_simnet) == [(ADDRESS, "set"), (ADDRESS, "cut"), (ADDRESS, "restore")]
    events = shared_simnet.events()
    assert before[0] <= events[0].time <= events[1].time <= events[2].time <= time.time()
    assert before[1] <= events[0].monotonic < events[1].monotonic < events[2].monotonic < time.monotonic()


def test_the_latest_word_on_an_outage_counts(shared_simnet: Simnet) -> None:
    """Cuts of a prefix cover what is inside, a restore inside is an exception; a set() ends those it covers."""
    inside, other = "10.5.1.1", "10.5.1.2"
    shared_simnet.set(["10.5.0.0/16", other])
    with pinger(shared_simnet) as pings:

        def up() -> tuple[bool, bool]:
            return answers(pings, inside), answers(pings, other)

        shared_simnet.cut("10.5.1.0/24")
        assert up() == (False, False)
        shared_simnet.restore(inside)
        assert up() == (True, False)
        shared_simnet.cut("10.5.0.0/16")
        assert up() == (False, False)
        shared_simnet.set(other, ttl=50)
        assert up() == (False, False)
        shared_simnet.restore(other)
        assert up() == (False, True)
        shared_simnet.set("10.5.0.0/16")
        assert up() == (True, True)
        shared_simnet.set(inside, outage=True)
        assert up() == (False, True)
        shared_simnet.restore(inside)
        assert up() == (True, True)


def test_a_flap_runs_by_the_simulators_clock(shared_simnet: Simnet) -> None:
    """Cuts and restores come when the schedule says, as often as it says, and a pinger feels them."""
    shared_simnet.set(ADDRESS)
    start = time.monotonic()
    shared_simnet.flap(ADDRESS, up_seconds=0.2, down_seconds=0.1, times=3)
    with pinger(shared_simnet) as pings:
        while len(shared_simnet.events()) < 7:
            pings.ping(ADDRESS, 1, interval=0.01)
            assert time.monotonic() < start + 10
        assert answers(pings)
    events = shared_simnet.events()[1:]
    assert [event.event for event in events] == ["cut", "restore"] * 3
    for event, offset in zip(events, (0.0, 0.1, 0.3, 0.4, 0.6, 0.7), strict=True):
        # Never early; late only when the machine is.
        assert offset <= event.monotonic - start < offset + 0.5
    truth = shared_simnet.truth(ADDRESS)
    assert truth.dropped_outage > 0
    assert truth.replies > 0


@pytest.mark.parametrize("word", ["cut", "restore", "set"])
def test_a_word_by_hand_ends_a_flap(shared_simnet: Simnet, word: str) -> None:
    """After cut(), restore() or set() of a wider prefix nothing of the schedule happens any more."""
    shared_simnet.set(["10.5.0.0/16", "10.6.0.0/16"])
    shared_simnet.flap([ADDRESS, "10.6.0.1"], up_seconds=0.02, down_seconds=0.02, times=10)
    getattr(shared_simnet, word)("10.5.0.0/16")
    eventually(lambda: log(shared_simnet).count(("10.6.0.1", "restore")) == 10)
    assert len([event for event in log(shared_simnet) if event[0] == ADDRESS]) <= 2


def test_counts_start_again(shared_simnet: Simnet) -> None:
    """After reset_truth() a reply to an earlier request counts nowhere; after clear() nothing is set."""
    shared_simnet.set(ADDRESS, latency=0.2)
    with pinger(shared_simnet) as pings:
        pings.send(ADDRESS, 1)
        eventually(lambda: shared_simnet.truth(ADDRESS).pending == 1)
        shared_simnet.reset_truth()
        assert pings.receive(5.0) is not None
        assert (shared_simnet.truth(ADDRESS).requests, shared_simnet.truth(ADDRESS).replies) == (0, 0)
        shared_simnet.clear()
        assert not answers(pings)
    assert shared_simnet.events() == []
    assert list(shared_simnet.truths()) == [ADDRESS]


def test_a_dropped_interface_is_an_unreachable_network(shared_simnet: Simnet) -> None:
    """Senders get ENETUNREACH while it is down, replies on their way are lost, and all is well after."""
    shared_simnet.set(["10.5.0.0/16", "fd00:5::/32"], latency=0.1)
    with pinger(shared_simnet) as pings, pinger(shared_simnet, 6) as pings6:
        pings.send(ADDRESS, 1)
        eventually(lambda: shared_simnet.truth(ADDRESS).pending == 1)
        shared_simnet.drop_interface()
        for sender, address in ((pings, ADDRESS), (pings6, "fd00:5::1")):
            with pytest.raises(OSError) as caught:  # noqa: PT011 - told apart by its number, below
                sender.send(address, 2)
            assert caught.value.errno == errno.ENETUNREACH
        eventually(lambda: shared_simnet.truth(ADDRESS).unwritten == 1)
        shared_simnet.raise_interface()
        assert answers(pings)
        assert answers(pings6, "fd00:5::1")
    assert log(shared_simnet)[-2:] == [("", "interface down"), ("", "interface up")]


def test_programs_run_inside(shared_simnet: Simnet, tmp_path: Path) -> None:
    """run() and popen() are inside the namespace; get() reaches what listens there and only there."""
    shared_simnet.set("10.7.0.0/16")
    done = shared_simnet.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True)
    assert done.stdout != subprocess.run(["readlink", "/proc/self/ns/net"], stdout=-1, text=True, check=True).stdout
    (tmp_path / "page").write_text("inside")
    server = [sys.executable, "-m", "http.server", "8642", "--directory", str(tmp_path)]
    program = shared_simnet.popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shared_simnet.wait_for_port(8642)
    page = shared_simnet.get(8642, "/page")
    assert (page.status, page.text, page.headers["content-length"]) == (200, "inside", "6")
    assert shared_simnet.get(8642, "/none").status == 404
    assert shared_simnet.get(8642, "/page", method="POST", body=b"x").status == 501
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 8642), 1).close()
    program.terminate()
    program.wait(10)
    with pytest.raises(TimeoutError, match="nobody listens"):
        shared_simnet.wait_for_port(8642, seconds=0.1)


def test_other_prefixes_can_be_simulated() -> None:
    """A network may be asked for any prefix, and then answers there."""
    with Simnet(["192.0.2.0/24", "2001:db8::/32"]) as net:
        net.set(["192.0.2.7", "2001:db8::7"])
        for version, address in ((4, "192.0.2.7"), (6, "2001:db8::7")):
            with pinger(net, version) as pings:
                assert pings.one(address).source == address


def cpu_seconds(net: Simnet) -> float:
    fields = Path(net.namespace).parents[1].joinpath("stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_flood_is_answered_to_the_last_packet(simnet: Simnet) -> None:
    """5,000 addresses at up to 20,000 packets/s: every one seen and answered, at its latency."""
    simnet.set("10.0.0.0/8", latency=0.005)
    addresses = [f"10.0.{number >> 8}.{number & 255}" for number in range(5000)]
    total, rate = 40_000, 20_000
    with pinger(simnet) as pings:
        # Nobody reads the replies: the truth is what is looked at here.
        pings.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        start = time.monotonic()
        for number in range(total):
            pings.send(addresses[number % 5000], number & 0xFFFF)
            while number >= (time.monotonic() - start) * rate:
                time.sleep(0.001)
        eventually(lambda: sum(truth.replies for truth in simnet.truths().values()) == total, 20)
    truths = simnet.truths()
    assert set(truths) == set(addresses)
    assert {(truth.requests, truth.replies) for truth in truths.values()} == {(8, 8)}
    assert simnet.overruns() == 0
    assert min(truth.delay_min for truth in truths.values()) >= 0.005
    # 26 us a packet on the machine this was written on; the limit is for a slower one.
    assert cpu_seconds(simnet) / total < 100e-6


def gone(namespace: int, processes: list[int]) -> bool:
    """No such process is left, and none at all in the namespace with that inode."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int(entry.name) in processes and "\nState:\tZ" not in (entry / "status").read_text():
                    return False
                if (entry / "ns/net").stat().st_ino == namespace:
                    return False
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return True


@contextmanager
def held(namespace: str) -> Iterator[int]:
    """The inode of a namespace, which no other one gets as long as this lasts."""
    with Path(namespace).open("rb") as file:
        yield os.fstat(file.fileno()).st_ino


def test_nothing_is_left_at_the_end() -> None:
    """After close() programs have been asked to end; neither they nor their children remain in the namespace."""
    with ExitStack() as kept:
        with Simnet(stop_seconds=0.5) as net:
            namespace = kept.enter_context(held(net.namespace))
            polite = net.popen(["sleep", "600"])
            stubborn = net.popen(["sh", "-c", "trap '' TERM; sleep 601 & while :; do wait; done"])
            eventually(lambda: len(children(stubborn.pid)) == 1)
            processes = [polite.pid, stubborn.pid, *children(stubborn.pid), net.pid]
        assert polite.returncode == -signal.SIGTERM
        assert stubborn.returncode == -signal.SIGKILL
        eventually(lambda: gone(namespace, processes))
    with pytest.raises(SimnetError, match="gone"):
        net.cut(ADDRESS)
    net.close()


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_network_dies_with_its_parent(end: signal.Signals) -> None:
    """A parent that is killed leaves no simulator and no program behind, nor anything else in the namespace."""
    script = """
        import time
        from tests.simnet import Simnet
        net = Simnet()
        program = net.popen(["sleep", "600"])
        print(net.pid, program.pid, net.namespace, flush=True)
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with ExitStack() as kept:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            simulator, program, path = parent.stdout.readline().split()
            namespace = kept.enter_context(held(path))
            eventually(lambda: Path(f"/proc/{program}/ns/net").stat().st_ino == namespace)
            parent.send_signal(end)
        eventually(lambda: gone(namespace, [int(simulator), int(program)]))


def test_a_network_outlives_the_thread_that_made_it() -> None:
    """The end of a thread is not the end of the process: a network made on one thread serves another."""
    made: list[Simnet] = []
    thread = threading.Thread(target=lambda: made.append(Simnet()))
    thread.start()
    thread.join()
    with made[0] as net:
        net.set(ADDRESS)
        with pinger(net) as pings:
            assert answers(pings)


def test_a_machine_that_cannot_says_why() -> None:
    """Without the capabilities there is one clear error, and no skipped test."""
    script = "from tests.simnet import Simnet; Simnet()"
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    done = subprocess.run(
        [*powerless, sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "SimnetError: no simulated network on this machine: [Errno 1] unshare: " in done.stderr
