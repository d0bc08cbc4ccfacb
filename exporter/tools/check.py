"""`ward-exporter check`: every problem of a configuration and its inventory at once, or its summary."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from exporter import addresses
from exporter.config import examine_settings
from exporter.credentials import open_to_all
from exporter.errors import ConfigError, Problem
from exporter.inventory.device import Device, Inventory
from exporter.inventory.shard import WHOLE, Shard, divide, no_devices
from exporter.inventory.sources import Sources
from exporter.snmp.available import modules_of
from exporter.web.web_config import examine_web_config

#: Seconds for looking up all host names together.
LOOKUP_TIME = 5.0
_LOOKUP_THREADS = 16


def check(config_file: Path | None, out: TextIO, web_file: Path | None = None, shard: Shard = WHOLE) -> int:
    """Write what is wrong to `out`, or a summary of that part; 1 if there is any problem, 0 if only warnings."""
    inventory = Inventory(())
    problems: list[Problem] = []
    exposed: list[str] = []
    try:
        settings, problems = examine_settings(config_file)
        # What is wrong with the settings must not hide what is wrong with the devices.
        if settings.inventory:
            try:
                inventory = Sources(settings).read()
            except ConfigError as error:
                problems += error.problems
        modules_of(settings, inventory.devices)
        exposed = open_to_all(settings.snmp.secret_files)
    except ConfigError as error:
        problems += error.problems
    if web_file is not None:
        problems += _web_problems(web_file)
    if not problems:
        inventory = divide(inventory, shard)
        if not inventory.devices:
            problems = [no_devices(shard, str(settings.path))]
    if problems:
        for problem in sorted(problems, key=_place):
            print(problem, file=out)
        print(f"FAILED: {_count(len(problems), 'problem')}", file=out)
        return 1
    warnings = [*inventory.warnings, *exposed, *unresolved(inventory.devices, LOOKUP_TIME)]
    for warning in warnings:
        print(f"warning: {warning}", file=out)
    print(_summary(inventory, len(warnings)), file=out)
    return 0


def _web_problems(file: Path) -> Sequence[Problem]:
    try:
        return examine_web_config(file)[-1]
    except ConfigError as error:
        return error.problems


def _place(problem: Problem) -> tuple[str, int]:
    return problem.file, problem.line or 0


def _summary(inventory: Inventory, warnings: int) -> str:
    links = sum(device.role == "isp" for device in inventory.devices)
    parts = [
        _count(len(inventory.devices), "device"),
        _count(len(inventory.sites), "site"),
        _count(links, "ISP link"),
    ]
    if warnings:
        parts.append(_count(warnings, "warning"))
    return "OK: " + ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def unresolved(devices: Sequence[Device], seconds: float) -> list[str]:
    """A sentence for each device whose host name gives no address within `seconds`, all together."""
    names = {device.address: "" for device in devices if addresses.family(device.address) == 0}
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for name in names:
        todo.put(name)
    # Daemon threads: a resolver that hangs must not hold the end of the program.
    for _ in range(min(_LOOKUP_THREADS, len(names))):
        threading.Thread(target=_look_up, args=(todo, done), daemon=True).start()
    failures = dict.fromkeys(names, f"no answer within {seconds:g} s")
    end = time.monotonic() + seconds
    for _ in names:
        try:
            name, failure = done.get(timeout=max(end - time.monotonic(), 0.001))
        except queue.Empty:
            break
        failures[name] = failure
    return [
        f"{device.name!r}: the host name {device.address!r} cannot be resolved: {failures[device.address]}"
        for device in devices
        if failures.get(device.address)
    ]


def _look_up(todo: queue.SimpleQueue[str], done: queue.SimpleQueue[tuple[str, str]]) -> None:
    while True:
        try:
            name = todo.get_nowait()
        except queue.Empty:
            return
        failure = ""
        try:
            socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            failure = (isinstance(error, OSError) and error.strerror) or str(error)
        done.put((name, failure))
