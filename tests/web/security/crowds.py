"""Crowds of clients, each crowd a process of its own; `python -m tests.web.security.crowds` measures with them.

It prints what docs/security.md says: the slowest scrape beside 2,000 silent sockets, what becomes of 500 scrapes
at once, both of 10,000 devices, and the lag of the probe loop.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.serving import Serving

DEVICES = 10_000
SILENT = 2000
SCRAPES = 500
#: What the lag looks back over, and a little more.
QUIET = 65


async def hold(port: int, count: int) -> None:
    """Open `count` connections with half a header or nothing; those that are cut off come again a second later."""

    async def one(number: int) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /metrics HTTP/1.1\r\nx: " if number % 2 else b"")
                await reader.read()
                writer.close()
            except OSError:
                pass
            await asyncio.sleep(1)

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    # All have been begun once the loop has come round; who listens has them in its backlog.
    await asyncio.sleep(1)
    print("held", flush=True)
    await asyncio.gather(*tasks)


async def scrape(port: int, count: int, packed: bool) -> None:
    """Scrape `count` times at once; print how often each outcome came, and the seconds until the last."""
    outcomes: Counter[str] = Counter()

    async def one() -> None:
        accepted = b"accept-encoding: gzip\r\n" if packed else b""
        request = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + accepted + b"\r\n"
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            header = await reader.readuntil(b"\r\n\r\n")
            (length,) = (int(line[15:]) for line in header.split(b"\r\n") if line.startswith(b"content-length:"))
            left = length
            while left and (data := await reader.read(2**20)):
                left -= len(data)
            outcomes[header[9:12].decode() if not left else "cut"] += 1
            writer.close()
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            outcomes[type(error).__name__] += 1

    start = time.monotonic()
    await asyncio.gather(*(one() for _ in range(count)))
    print(*(f"{name}={number}" for name, number in sorted(outcomes.items())), f"{time.monotonic() - start:.3f}")


@dataclass(frozen=True, slots=True)
class Scraped:
    """What a crowd of scrapes got: answers by status, and when the last of them was there."""

    outcomes: dict[str, int]
    seconds: float


def crowd(kind: str, port: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.web.security.crowds", kind, str(port), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


@contextmanager
def silent(port: int, count: int = SILENT) -> Iterator[None]:
    """As long as it lasts, so many sockets are open that say nothing."""
    with crowd("hold", port, count) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.kill()


def scrapes(port: int, count: int = SCRAPES, *, packed: bool = True) -> Scraped:
    with crowd("packed" if packed else "plain", port, count) as process:
        said, _ = process.communicate(timeout=60)
    *found, seconds = said.split()
    pairs = (pair.split("=") for pair in found)
    return Scraped({name: int(number) for name, number in pairs}, float(seconds))


def inventory(serving: Serving, count: int = DEVICES) -> None:
    """So many loopback devices, probed once a second."""
    serving.configure("probe: {interval: 1s, timeout: 1s}\n")
    serving.devices({f"d{number}": f"127.1.{number >> 8}.{number & 255}" for number in range(count)})


def lag(serving: Serving) -> float:
    """Longest delay of a send in the last 60 rounds, in seconds."""
    return serving.page().value("ward_probe_cycle_lag_seconds")


def slowest(serving: Serving, count: int = 20) -> float:
    """Seconds of the slowest of so many scrapes, one after the other."""
    times = []
    for _ in range(count):
        start = time.monotonic()
        assert serving.ask("/metrics").status == 200
        times.append(time.monotonic() - start)
    return max(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Serving(Path(folder)) as serving:
        inventory(serving)
        serving.start_ready()
        time.sleep(QUIET)
        print(f"{DEVICES} devices, nobody asks: lag {lag(serving):.3f} s", flush=True)
        print(f"the slowest of 20 scrapes: {slowest(serving):.3f} s", flush=True)
        with silent(serving.port):
            took = slowest(serving)
        print(f"the same with {SILENT} silent sockets: {took:.3f} s, lag {lag(serving):.3f} s", flush=True)
        for packed in (True, False):
            time.sleep(QUIET)
            found, kind = scrapes(serving.port, packed=packed), "gzip" if packed else "plain"
            late = lag(serving)
            print(
                f"{SCRAPES} scrapes, {kind}: {found.outcomes} in {found.seconds:.3f} s, lag {late:.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "hold":
        asyncio.run(hold(int(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(scrape(int(sys.argv[2]), int(sys.argv[3]), sys.argv[1] == "packed"))
