"""The test's side of the simulated network: start it, script it, run programs in it, ask it for the truth."""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from tests.simnet import kernel
from tests.simnet.behaviour import OUTAGE, Behaviour, Target, networks
from tests.simnet.truth import Event, Truth

P = ParamSpec("P")
R = TypeVar("R")

#: The simulator answers no packet while it answers us, so it is asked about few addresses at a time.
_TRUTHS_AT_ONCE = 20


class SimnetError(RuntimeError):
    """This machine cannot make the simulated network, or the simulator has died."""


class Response(NamedTuple):
    """An HTTP response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Simnet:
    """A network namespace in which all of `prefixes` is simulated; a context manager.

    Linux, and root, or CAP_NET_ADMIN and CAP_SYS_ADMIN. Addresses for which nothing is set do as `default`
    says: they are silent. `seed` makes losses and jitter the same in every run. Programs inside have
    `stop_seconds` to end once they are asked to. Raises SimnetError.

    Only echo requests are answered; other packets to the prefixes are swallowed. All methods may be called from
    any thread. Programs inside share one loopback device; 10.255.255.254 and fd00:ffff::fe are the namespace's own
    addresses, 10.255.255.1 and fd00:ffff::1 the router that ICMP errors come from.
    """

    def __init__(
        self,
        prefixes: Sequence[str] = ("10.0.0.0/8", "fd00::/8"),
        *,
        default: Behaviour = OUTAGE,
        seed: int = 1,
        mtu: int = 1500,
        stop_seconds: float = 5.0,
    ) -> None:
        self._prefixes = tuple(prefixes)
        self._mtu = mtu
        self._stop_seconds = stop_seconds
        self._programs: list[subprocess.Popen[Any]] = []
        self._turn = threading.Lock()
        self._control, theirs = Pipe()
        with theirs:
            self._simulator = subprocess.Popen(
                [sys.executable, "-m", "tests.simnet", str(theirs.fileno()), str(os.getpid())],
                cwd=Path(__file__).parents[2],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.pid = self._simulator.pid
        self.namespace = f"/proc/{self.pid}/ns/net"
        self._control.send((seed, default, self._prefixes, mtu))
        try:
            problem = self._control.recv()
        except EOFError:
            problem = "the simulator died at its start"
        if problem:
            self.close()
            raise SimnetError(
                f"no simulated network on this machine: {problem}; it takes Linux, root (CAP_NET_ADMIN and"
                " CAP_SYS_ADMIN), /dev/net/tun, and ip and nsenter (packages iproute2, util-linux)"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the programs that popen() started, then the network, and all that still runs in it."""
        for program in self._programs:
            program.terminate()
        deadline = time.monotonic() + self._stop_seconds
        for program in self._programs:
            with suppress(subprocess.TimeoutExpired):
                program.wait(max(0.0, deadline - time.monotonic()))
            program.kill()
            program.wait()
        self._programs.clear()
        self._control.close()
        try:
            self._simulator.wait(5.0)
        except subprocess.TimeoutExpired:
            self._simulator.kill()
            self._simulator.wait()

    def _ask(self, name: str, *arguments: object) -> Any:
        try:
            with self._turn:
                self._control.send((name, *arguments))
                return self._control.recv()
        except (EOFError, OSError) as error:
            raise SimnetError("the simulator is gone") from error

    # The script.

    def set(self, target: Target, behaviour: Behaviour | None = None, /, **fields: Any) -> None:
        """From now on `target` does as the fields of Behaviour say; those not given have their defaults.

        Of several set() that cover an address the most specific one counts, and of equal ones the latest. Ends
        cuts and flaps of `target` and inside it. Raises ValueError, TypeError.
        """
        if behaviour is not None and fields:
            raise TypeError("a behaviour, or the fields of one")
        self._ask("set", networks(target), behaviour or Behaviour(**fields))

    def cut(self, target: Target) -> None:
        """Silence for requests that come from now on, until restore() or set(). Ends flaps inside."""
        self._ask("switch", networks(target), True)

    def restore(self, target: Target) -> None:
        """Undo cut() and Behaviour.outage; the rest of the behaviour is as it was. Ends flaps inside."""
        self._ask("switch", networks(target), False)

    def flap(self, target: Target, up_seconds: float, down_seconds: float, times: int) -> None:
        """Cut at once for `down_seconds`, restore for `up_seconds`, and so on: `times` cuts. Returns at once.

        Raises ValueError.
        """
        if times < 1 or up_seconds < 0 or down_seconds < 0:
            raise ValueError("a flap: once or more, and no time below 0")
        self._ask("flap", networks(target), up_seconds, down_seconds, times)

    def clear(self) -> None:
        """Forget every behaviour, cut, flap, truth and event, and the replies that are still to come."""
        self._ask("clear")

    def drop_interface(self) -> None:
        """Take the device down: whoever sends gets ENETUNREACH."""
        kernel.ip([f"link set {kernel.DEVICE} down"], self.namespace)
        self._ask("record", "", "interface down")

    def raise_interface(self) -> None:
        """Bring the device, its addresses and its routes back."""
        kernel.ip(kernel.interface_up(self._prefixes, self._mtu), self.namespace)
        self._ask("record", "", "interface up")

    # The truth.

    def truth(self, address: str) -> Truth:
        """Counts of one address; all zero where it was sent nothing."""
        return self.truths([address])[address]

    def truths(self, addresses: Sequence[str] | None = None) -> dict[str, Truth]:
        """Counts of these addresses, or of all that were sent something; keys as given, or canonical."""
        if addresses is None:
            packed: list[bytes] = self._ask("addresses")
            addresses = [str(ipaddress.ip_address(address)) for address in packed]
        else:
            packed = [ipaddress.ip_address(address).packed for address in addresses]
        found: list[Truth] = []
        for start in range(0, len(packed), _TRUTHS_AT_ONCE):
            found += self._ask("truths", packed[start : start + _TRUTHS_AT_ONCE])
        return dict(zip(addresses, found, strict=True))

    def reset_truth(self) -> None:
        """All counts back to 0; replies that are still to come count nowhere."""
        self._ask("reset_truth")

    def events(self) -> list[Event]:
        """What was done to the network, in order."""
        events: list[Event] = self._ask("events")
        return events

    def overruns(self) -> int:
        """Packets that the device dropped because the simulator was too slow; 0, or the truth has gaps."""
        lines = Path(f"/proc/{self.pid}/net/dev").read_text().splitlines()
        counts = next(line for line in lines if line.strip().startswith(kernel.DEVICE))
        return int(counts.split(":")[1].split()[11])

    # Inside the namespace.

    def popen(self, command: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.Popen[Any]:
        """subprocess.Popen inside; the process has the pid of the program itself. close() ends it."""
        program = subprocess.Popen(self._inside_command(command), **options)
        self._programs.append(program)
        return program

    def run(self, command: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.CompletedProcess[Any]:
        """subprocess.run inside. Raises what that raises."""
        return subprocess.run(self._inside_command(command), check=options.pop("check", False), **options)

    def _inside_command(self, command: Sequence[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
        return ["nsenter", f"--net={self.namespace}", "--", *command]

    def inside(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` on a thread inside. Sockets and threads that it makes stay inside for good."""

        def call() -> R:
            kernel.enter_network_namespace(self.namespace)
            return function(*args, **kwargs)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(call).result()

    def connect(self, port: int, host: str = "127.0.0.1", timeout: float = 10.0) -> socket.socket:
        """A TCP connection to a server inside. Raises OSError."""
        return self.inside(socket.create_connection, (host, port), timeout)

    def wait_for_port(self, port: int, host: str = "127.0.0.1", seconds: float = 10.0) -> None:
        """Until a server inside listens. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.connect(port, host).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nobody listens on {host}:{port} after {seconds} s") from error
                time.sleep(0.02)
            else:
                return

    def get(
        self,
        port: int,
        path: str = "/",
        *,
        host: str = "127.0.0.1",
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Response:
        """One HTTP request to a server inside. Raises OSError, http.client.HTTPException."""
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        with self.connect(port, host, timeout) as connection.sock:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, found, response.read())
