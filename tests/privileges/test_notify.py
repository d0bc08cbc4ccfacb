"""What systemd hears of the exporter, read where systemd would: at the socket that $NOTIFY_SOCKET names."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.notify import Notify
from tests.serving import Serving

Message = dict[str, str]


class Heard:
    """A socket that takes notifications, at a path or, with @ in front, at an abstract address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.settimeout(20)

    def next(self, *, but: str = "WATCHDOG") -> Message:
        """The next message that is not of this kind."""
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            message = dict(line.split("=", 1) for line in lines)
            if but not in message:
                return message

    def silence(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(20)
        return False


@contextmanager
def hearing(address: str) -> Iterator[Heard]:
    heard = Heard(address)
    with heard.socket:
        yield heard


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    with hearing(str(tmp_path / "notify")) as found:
        yield found


@pytest.mark.parametrize("abstract", [False, True])
def test_a_life(tmp_path: Path, abstract: bool) -> None:
    """systemd hears of the start when /metrics can be asked, of a reload's begin and end, and of the end."""
    address = f"@ward-tests-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with Serving(tmp_path) as serving, hearing(address) as heard:
        serving.devices({"a": "127.0.1.1"})
        serving.start(environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"})
        assert heard.next() == {"READY": "1", "STATUS": "probing 1 devices each 0.2 s"}
        assert heard.next(but="STATUS") == {"WATCHDOG": "1"}
        assert serving.ask("/metrics").status == 200

        serving.devices({"a": "127.0.1.1", "b": "127.0.1.2"})
        before = time.monotonic_ns() // 1000
        serving.send(signal.SIGHUP)
        reloading = heard.next()
        assert reloading.pop("RELOADING") == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert heard.next() == {"READY": "1", "STATUS": "probing 2 devices each 0.2 s"}

        serving.configure("nonsense: 1\n")
        assert serving.reload().status == 500
        assert "RELOADING" in heard.next()
        # What ran before goes on: for systemd the reload has ended.
        assert heard.next() == {"READY": "1", "STATUS": "probing 2 devices each 0.2 s"}

        serving.send(signal.SIGTERM)
        assert heard.next() == {"STOPPING": "1"}
        assert serving.process is not None
        assert serving.process.wait(10) == 0


def test_the_watchdog_is_fed_only_in_good_health(heard: Heard) -> None:
    """While the probe loop's heartbeat is old the watchdog gets nothing; when it is fresh again, it does."""
    reasons = ["", "the probe loop stands for 6 s", "the probe loop stands for 6 s", ""]
    asked: list[str] = []

    def unhealthy() -> str:
        asked.append(reasons[len(asked)])
        return asked[-1]

    async def feed() -> None:
        environment = {"NOTIFY_SOCKET": heard.address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
        feeding = asyncio.create_task(Notify(environment).keep_alive(unhealthy))
        with pytest.raises(IndexError):
            await feeding

    asyncio.run(feed())
    assert asked == reasons
    assert [heard.next(but=""), heard.next(but="")] == [{"WATCHDOG": "1"}] * 2
    assert heard.silence(0.05)


def test_nobody_else_speaks_for_the_service(heard: Heard) -> None:
    """The variables are taken out of the environment, and a watchdog that waits for another process is not fed."""
    environment = {"NOTIFY_SOCKET": heard.address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1", "HOME": "/"}
    notify = Notify(environment)
    assert environment == {"HOME": "/"}
    asyncio.run(asyncio.wait_for(notify.keep_alive(lambda: ""), 10))
    assert heard.silence(0.05)


@pytest.mark.parametrize("address", ["", "nowhere", "/nowhere/notify", "vsock:2:1234", "@ward-tests-nobody"])
def test_without_a_listener(address: str) -> None:
    """Without systemd, or with a socket that is not there, everything goes on."""
    notify = Notify({"NOTIFY_SOCKET": address})
    notify.ready("")
    notify.reloading()
    notify.stopping()
    asyncio.run(asyncio.wait_for(notify.keep_alive(lambda: ""), 10))
