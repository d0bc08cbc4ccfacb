"""Loopback devices by the thousand; `python -m tests.faults.scale [DEVICES]` swaps them for ten, and measures."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.faults.patient import REPLIES
from tests.serving import Serving
from tests.soak.run import resident

#: They stay, whatever else comes and goes.
FEW = {f"stays{number}": f"127.1.0.{number + 1}" for number in range(10)}


def address(number: int) -> str:
    return f"127.{2 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def write(serving: Serving, count: int) -> None:
    """The ten, and so many more as CSV, which is read fastest."""
    lines = [f"{name},{at},few" for name, at in FEW.items()]
    lines += [f"goes{number},{address(number)},s{number % 1000}" for number in range(count)]
    (serving.folder / "devices.csv").write_text("\n".join(["name,address,site", *lines, ""]))


def measure(count: int, interval: str) -> None:
    with tempfile.TemporaryDirectory() as folder, Serving(Path(folder)) as serving:
        serving.configure(f"probe: {{interval: {interval}, timeout: 1s}}\n", "inventory: [{file: devices.csv}]\n")
        write(serving, 0)
        serving.start_ready()
        assert serving.process is not None
        process = serving.process.pid
        print(f"ten devices: {resident(process) / 1e6:.0f} MB", flush=True)
        for _ in range(3):
            before = serving.page()
            write(serving, count)
            begin = time.monotonic()
            assert serving.ask("/-/reload", "POST", timeout=300).status == 200
            grown = time.monotonic() - begin
            time.sleep(30)
            most = resident(process)
            write(serving, 0)
            begin = time.monotonic()
            assert serving.ask("/-/reload", "POST", timeout=300).status == 200
            shrunk = time.monotonic() - begin
            time.sleep(5)
            after = serving.page()
            replies = min(after.value(REPLIES, name) - before.value(REPLIES, name) for name in FEW)
            lost = max(after.value("ward_device_packet_loss_ratio", name) for name in FEW)
            print(f"to {count + 10:,} devices in {grown:.1f} s, {most / 1e6:.0f} MB; ", end="")
            print(f"back in {shrunk:.1f} s, {resident(process) / 1e6:.0f} MB; ", end="")
            print(f"the ten: at least {replies:.0f} replies each, loss {lost:.0%}; ", end="")
            print(f"void {after.value('ward_probe_void_total'):.0f}, ", end="")
            print(f"rounds skipped {after.value('ward_probe_cycles_skipped_total'):.0f}, ", end="")
            print(f"lag {after.value('ward_probe_cycle_lag_seconds'):.2f} s", flush=True)


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2] if len(sys.argv) > 2 else "2s")
