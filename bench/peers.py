"""The peers, run as their users run them: what a probe costs them, and which round-trip times they report."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bench import process
from tests.servers import FLOOR, BlackboxExporter, Generation, SmokepingProber, program
from tests.simnet import Simnet

BLACKBOX_CONFIG = "modules: {icmp: {prober: icmp, timeout: 1s, icmp: {preferred_ip_protocol: ip4}}}"
BLACKBOX_CLIENTS = 4
SMOKEPING_PORT = 9374


@dataclass(frozen=True, slots=True)
class Cost:
    """What a peer did: CPU microseconds a probe, share of one core, probes a second, share that was answered."""

    us_per_probe: float
    cores: float
    rate: float
    answered: float


#: Milliseconds between packets that fping is asked for, as shares of what an even spread would take.
FPING_SPREADS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def fping_spread(addresses: Sequence[str]) -> float:
    """The most even spread, in ms between packets, at which fping pings every address once a second.

    Its timer overshoots, so that with the exact spread it may send half as much as it was asked to.
    """
    for share in FPING_SPREADS:
        spread = share * 1000 / len(addresses)
        cost, _ = fping(addresses, 3, spread)
        if cost.rate > 0.97 * len(addresses):
            return spread
    raise RuntimeError(f"fping cannot ping {len(addresses)} addresses a second on this machine")


def fping(addresses: Sequence[str], rounds: int, spread: float) -> tuple[Cost, list[list[float]]]:
    """Ping every address once a second for `rounds` seconds: cost, and RTTs in seconds by address.

    `spread` is in ms between packets. Start and report are part of the cost; they are under 1 % of it.
    """
    with tempfile.TemporaryFile("w+") as targets, tempfile.TemporaryFile("w+") as report:
        targets.write("\n".join(addresses))
        targets.seek(0)
        command = [str(program("fping", FLOOR)), "-q", "-C", str(rounds), "-i", f"{spread:.4f}", "-p", "1000"]
        start = time.monotonic()
        running = subprocess.Popen(command, stdin=targets, stdout=report, stderr=report)
        _, status, usage = os.wait4(running.pid, 0)
        seconds = time.monotonic() - start
        running.returncode = os.waitstatus_to_exitcode(status)
        report.seek(0)
        lines = [line.partition(" : ")[2].split() for line in report]
    rtts = [[float(word) / 1000 for word in line if word != "-"] for line in lines]
    sent = sum(map(len, lines))
    if sent != len(addresses) * rounds:
        raise RuntimeError(f"fping reported {sent} probes of {len(addresses) * rounds}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(cpu / sent * 1e6, cpu / seconds, sent / max(seconds, rounds), sum(map(len, rtts)) / sent), rtts


class Blackbox:
    """A running blackbox_exporter, asked for one probe after another by a few clients with open connections."""

    def __init__(self, server: BlackboxExporter) -> None:
        self._server = server

    def cost(self, addresses: Sequence[str], seconds: float) -> tuple[Cost, list[float]]:
        """As many probes as the clients get through in `seconds`; cost, and the RTTs in seconds."""
        turn = cycle(addresses)
        end = time.monotonic() + seconds
        answers: list[tuple[bool, float]] = []

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=5)
            while time.monotonic() < end:
                connection.request("GET", f"/probe?module=icmp&target={next(turn)}")
                text = connection.getresponse().read().decode()
                rtt = re.search(r'^probe_icmp_duration_seconds\{phase="rtt"\} (\S+)', text, re.MULTILINE)
                answers.append(("\nprobe_success 1" in text, float(rtt[1]) if rtt else 0.0))
            connection.close()

        pid = self._server.process.pid
        before = process.read(pid)
        clients = [threading.Thread(target=ask) for _ in range(BLACKBOX_CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        after = process.read(pid)
        cpu, wall, probes = after.cpu - before.cpu, after.at - before.at, len(answers)
        rtts = [rtt for success, rtt in answers if success]
        return Cost(cpu / probes * 1e6, cpu / wall, probes / wall, len(rtts) / probes), rtts


@contextmanager
def blackbox(generation: Generation) -> Iterator[Blackbox]:
    """blackbox_exporter with one ICMP module."""
    with BlackboxExporter(BLACKBOX_CONFIG, generation=generation) as server:
        yield Blackbox(server)


def smokeping(addresses: Sequence[str], protocol: str, generation: Generation, seconds: float) -> Cost:
    """smokeping_prober pings every address once a second; `protocol` is `icmp` (raw sockets) or `udp` (datagram).

    It runs in a network namespace: datagram ICMP sockets need a setting that the machine's own network keeps.
    """
    config = json.dumps(
        {"targets": [{"hosts": list(addresses), "interval": "1s", "network": "ip4", "protocol": protocol}]}
    )
    with Simnet() as net:
        net.inside(Path("/proc/sys/net/ipv4/ping_group_range").write_text, "0 2147483647")
        prefix = ["nsenter", f"--net={net.namespace}", "--"]
        with SmokepingProber(
            config, generation=generation, prefix=prefix, port=SMOKEPING_PORT, get=net.get
        ) as server:

            def counts() -> tuple[float, float]:
                text = server.get("/metrics")[2].decode()
                requests = re.findall(r"^smokeping_requests_total\S* (\S+)", text, re.MULTILINE)
                answers = re.findall(r"^smokeping_response_duration_seconds_count\S* (\S+)", text, re.MULTILINE)
                return sum(map(float, requests)), sum(map(float, answers))

            # It starts its pingers spread over the interval.
            time.sleep(3)
            sent_before, answered_before = counts()
            before = process.read(server.process.pid)
            time.sleep(seconds)
            after = process.read(server.process.pid)
            sent_after, answered_after = counts()
    cpu, wall = after.cpu - before.cpu, after.at - before.at
    sent, answered = sent_after - sent_before, answered_after - answered_before
    return Cost(cpu / sent * 1e6, cpu / wall, sent / wall, answered / sent)


def multiping(devices: int, probes: int) -> Cost:
    """icmplib's multiping over `devices` loopback addresses, `probes` to each, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.multiping", str(devices), str(probes)],
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        text=True,
    )
    cpu, wall, sent, answered = json.loads(done.stdout)
    return Cost(cpu / sent * 1e6, cpu / wall, sent / wall, answered / sent)
