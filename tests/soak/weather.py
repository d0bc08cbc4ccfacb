"""Outages of single devices, all the time: a thread that cuts some, and restores them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping

from tests.simnet import Simnet
from tests.soak.ledger import SLACK, Ledger

#: Long enough for a verdict on a busy machine, in seconds.
_SHORTEST, _LONGEST = 12.0, 40.0
_MOST_AT_ONCE = 8
#: A device has been up for so long before it goes down again.
_REST = 30.0


class Weather:
    """Outages, from `start` to `end`; `addresses` by device."""

    def __init__(self, net: Simnet, addresses: Mapping[str, str], ledger: Ledger, seed: int = 1) -> None:
        self._net, self._addresses, self._ledger = net, addresses, ledger
        self._random = random.Random(seed)
        #: When each device that is out comes back, and when each other one came back last.
        self._out: dict[str, float] = {}
        self._back: dict[str, float] = {}
        self._fair = threading.Event()
        self._done = threading.Event()
        self._settled = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="weather")

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """All devices are up, and have been for a while."""
        self.pause()
        self._done.set()
        self._thread.join()

    def pause(self) -> None:
        """No outages from now on; returns when the last one is over, and its device is up again."""
        self._fair.set()
        with self._settled:
            self._settled.wait_for(lambda: not self._out)
        time.sleep(SLACK)

    def resume(self) -> None:
        self._fair.clear()

    def _run(self) -> None:
        while not self._done.wait(0.5):
            now = time.monotonic()
            for name in [name for name, due in self._out.items() if due <= now]:
                self._net.restore(self._addresses[name])
                self._ledger.ends([name], time.monotonic())
                self._back[name] = now
                with self._settled:
                    del self._out[name]
                    self._settled.notify()
            if not self._fair.is_set() and len(self._out) < _MOST_AT_ONCE and self._random.random() < 0.2:
                self._cut(now)

    def _cut(self, now: float) -> None:
        name = self._random.choice(sorted(self._addresses))
        if name in self._out or now - self._back.get(name, -_REST) < _REST:
            return
        self._ledger.begins([name], now)
        self._net.cut(self._addresses[name])
        self._out[name] = now + self._random.uniform(_SHORTEST, _LONGEST)
