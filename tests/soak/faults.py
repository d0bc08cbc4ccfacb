"""The faults of a soak, one after another; each ends by itself, and says what it saw beside the books."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.faults.causes import (
    beside,
    firewall,
    full_disk,
    interface_down,
    narrow_link,
    no_descriptors,
    pollers,
    route_gone,
    silence,
    stopped,
)
from tests.serving import until
from tests.soak.ledger import SLACK
from tests.soak.run import PREFIX, Run, write_inventory

#: How long most of them last, in seconds.
_WHILE = 12.0
_HOUR = 3600.0


class Fault(NamedTuple):
    """`cause` does it; `calm` ones are met without outages of single devices, which nobody could tell meanwhile."""

    name: str
    cause: Callable[[Run], str]
    calm: bool = False


@contextmanager
def deaf(run: Run) -> Iterator[None]:
    """Scrapes may fail; one that has begun may still do so a moment later."""
    run.deaf.set()
    try:
        yield
    finally:
        time.sleep(1)
        run.deaf.clear()


def scrapes(run: Run) -> str:
    with deaf(run), beside(run.net, "tests.web.security.crowds", ["packed", run.serving.port, 500]) as crowd:
        said, _ = crowd.communicate(timeout=60)
    return str(said).strip()


def drips(run: Run) -> str:
    with deaf(run), beside(run.net, "tests.faults.drip", [run.serving.port, 60, 30]) as drip:
        assert drip.stdout is not None
        drip.stdout.readline()
        slowest = 0.0
        end = time.monotonic() + _WHILE
        while time.monotonic() < end:
            begin = time.monotonic()
            run.scrape()
            slowest = max(slowest, time.monotonic() - begin)
    return f"the slowest scrape beside them: {slowest:.2f} s"


def reloads(run: Run) -> str:
    end, count = time.monotonic() + 20, 0
    while time.monotonic() < end:
        begin = time.monotonic()
        answer = run.serving.reload()
        assert answer.status == 200, answer.text
        count += 1
        time.sleep(max(0.0, 1 - (time.monotonic() - begin)))
    return f"{count} reloads"


def growth(run: Run) -> str:
    """Ten times the inventory, and back."""
    write_inventory(run.folder, run.addresses, 10 * len(run.addresses))
    assert run.serving.reload().status == 200
    time.sleep(_WHILE)
    most = run.memory()
    write_inventory(run.folder, run.addresses)
    assert run.serving.reload().status == 200
    return f"{most / 1e6:.0f} MB with it"


def forgeries(run: Run) -> str:
    """50 for each of 400 requests a second."""
    name = "ward_probe_invalid_replies_total"
    before = run.scrape().total(name)
    with beside(run.net, "tests.faults.forger", [50, _WHILE]) as forger:
        said, _ = forger.communicate(timeout=60)
    return f"{str(said).split(maxsplit=1)[1].strip()}; {run.scrape().total(name) - before:.0f} more were refused"


def poller_killed(run: Run) -> str:
    for process in pollers(run.pid):
        os.kill(process, signal.SIGKILL)
    until(lambda: bool(pollers(run.pid)), 120)
    return ""


def disk_full(run: Run) -> str:
    name = "ward_snapshot_failures_total"
    before = run.scrape().total(name)
    with full_disk(run.mounts.seen(run.serving.storage)):
        time.sleep(_WHILE)
    failed = run.scrape().total(name) - before
    assert failed > 0
    return f"{failed:.0f} saves failed"


def descriptors_used_up(run: Run) -> str:
    with deaf(run), no_descriptors(run.pid):
        time.sleep(_WHILE)
    return ""


def names_gone(run: Run) -> str:
    run.end_names()
    try:
        # Each name is asked for once in these, and the lost answer waited for.
        time.sleep(_WHILE)
        unresolved = run.scrape().total("ward_probe_unresolved_names")
    finally:
        run.serve_names()
    assert run.serving.reload().status == 200
    return f"{unresolved:.0f} names without an answer"


def clock_stepped(run: Run) -> str:
    for step in (_HOUR, -_HOUR, -_HOUR, _HOUR):
        run.clock.step(step)
        time.sleep(_WHILE / 2)
        assert sum(run.polled().values()) > 0
    return ""


def refused(run: Run) -> str:
    with firewall(run.net, PREFIX):
        time.sleep(_WHILE)
    return ""


def narrow(run: Run) -> str:
    """A third of what is sent fits."""
    before = run.scrape().total("ward_probe_packets_sent_total")
    with narrow_link(run.net, "90kbit"):
        time.sleep(_WHILE)
    sent = run.scrape().total("ward_probe_packets_sent_total") - before
    return f"{sent / _WHILE / len(run.addresses):.0%} of the requests found room"


def interface(run: Run) -> str:
    with run.outage(), interface_down(run.net):
        time.sleep(_WHILE)
        assert run.scrape().total("ward_mass_outage") == 1
    return ""


def route(run: Run) -> str:
    with run.outage(), route_gone(run.net, PREFIX):
        time.sleep(_WHILE)
        assert run.scrape().total("ward_mass_outage") == 1
    return ""


def network(run: Run) -> str:
    with run.outage(), silence(run.net, PREFIX):
        time.sleep(_WHILE)
        assert run.scrape().total("ward_mass_outage") == 1
    return ""


def standstill(seconds: float) -> Callable[[Run], str]:
    def stand(run: Run) -> str:
        """An outage that begins meanwhile is seen afterwards."""
        name = "s25-4"
        with deaf(run), stopped(run.pid):
            time.sleep(seconds / 2)
            run.ledger.begins([name], time.monotonic())
            run.net.cut(run.addresses[name])
            time.sleep(seconds / 2)
        # The page tells the longest lag of 60 rounds.
        run.ledger.stood_until = time.monotonic() + 65
        time.sleep(_WHILE)
        run.net.restore(run.addresses[name])
        run.ledger.ends([name], time.monotonic())
        time.sleep(SLACK)
        return f"{seconds:g} s"

    return stand


def killed(run: Run) -> str:
    """kill -9: the books of at most a second are gone."""
    name = "ward_device_replies_total"
    with deaf(run):
        before = run.scrape().by_device(name)
        assert run.serving.process is not None
        run.serving.process.kill()
        run.serving.process.wait()
        run.start()
        after = run.scrape().by_device(name)
    lost = max(before[device] - after.get(device, 0.0) for device in before)
    return f"at most {max(0.0, lost):.0f} probes of a device forgotten"


def rotation(stop_seconds: float) -> tuple[Fault, ...]:
    """Those that cost memory first: it is measured once they have been met."""
    return (
        Fault("500 scrapes at once", scrapes),
        Fault("60 scrapers that read a byte a second", drips),
        Fault("an inventory ten times as large", growth),
        Fault("reloads, one a second", reloads),
        Fault("forged replies, 20,000 a second", forgeries),
        Fault("a poller killed", poller_killed),
        Fault("disk full", disk_full),
        Fault("no file descriptor left", descriptors_used_up),
        Fault("DNS server gone", names_gone),
        Fault("wall clock stepped by an hour, both ways", clock_stepped),
        Fault("firewall (EPERM)", refused, calm=True),
        Fault("full queue (ENOBUFS)", narrow, calm=True),
        Fault("interface down and up", interface, calm=True),
        Fault("route gone", route, calm=True),
        Fault("whole network silent", network, calm=True),
        Fault("SIGSTOP", standstill(stop_seconds), calm=True),
    )
