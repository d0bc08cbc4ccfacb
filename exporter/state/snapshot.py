"""The state in a file, so that a restart forgets no verdict, no flap and no counter.

A line with the format and a checksum over the rest, a line of JSON, then the columns as they lie in memory. A save
writes a new file beside the old one and renames it: whatever happens in between, one of the two is whole.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.errors import SnapshotError
from exporter.state.columns import FIELDS, MONOTONIC_FIELDS, Columns
from exporter.state.history import Event
from exporter.state.verdict import Verdicts

NAME = "state.ward"
_FORMAT = b"ward-exporter state 1 crc32 "
_HISTOGRAM = {"histogram_row": "i4", "histogram": "i8", "histogram_sum": "f8"}


class Capture(NamedTuple):
    """A copy of the state of one moment; `identity` names its rows."""

    identity: bytes
    saved: float
    monotonic: int
    columns: dict[str, npt.NDArray[Any]]
    flap_rows: npt.NDArray[np.int32]
    flap_times: npt.NDArray[np.int64]
    #: As JSON.
    events: tuple[str, ...]


def identity(verdicts: Verdicts) -> bytes:
    """Names and addresses of the rows; the same for as long as the inventory is."""
    return json.dumps([[device.name, device.address] for device in verdicts.inventory.probed]).encode()


def capture(verdicts: Verdicts, rows: bytes) -> Capture:
    """Copy the state; to be run on the probe thread, between two ticks. `rows` is `identity(verdicts)`."""
    columns = {name: getattr(verdicts.columns, name).copy() for name in (*FIELDS, *_HISTOGRAM)}
    flaps = [(row, at) for row, times in verdicts.flaps.items() for at in times]
    return Capture(
        rows,
        time.time(),
        time.monotonic_ns(),
        columns,
        np.array([row for row, _ in flaps], np.int32),
        np.array([at for _, at in flaps], np.int64),
        verdicts.history.lines(),
    )


def save(folder: Path, state: Capture) -> None:
    """Write `state` to the folder, atomically and durably. Raises OSError; the former file then stays."""
    parts = [state.identity, *(column.tobytes() for column in state.columns.values())]
    events = f"[{','.join(state.events)}]".encode()
    body = b"".join([*parts, state.flap_rows.tobytes(), state.flap_times.tobytes(), events])
    header = {
        "saved": state.saved,
        "monotonic": state.monotonic,
        "identity": len(state.identity),
        "columns": {name: [column.dtype.str, column.shape] for name, column in state.columns.items()},
        "flaps": len(state.flap_rows),
        "events": len(events),
    }
    content = json.dumps(header).encode() + b"\n" + body
    temporary = folder / f"{NAME}.new"
    try:
        with temporary.open("wb") as file:
            file.write(_FORMAT + b"%08x\n" % zlib.crc32(content))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NAME)
    except OSError:
        # Half a file would take room from whoever else needs the disk.
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def load(folder: Path) -> Capture | None:
    """The last saved state, None where there is none. Raises SnapshotError for a file that is no whole snapshot."""
    path = folder / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from error
    try:
        return _parse(data)
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path}: not a whole snapshot: {error}") from error


def _parse(data: bytes) -> Capture:
    if not data.startswith(_FORMAT):
        raise ValueError(f"it begins with {data[: len(_FORMAT)]!r}, expected {_FORMAT!r}")
    start = len(_FORMAT) + 9
    # The digits as they were written: int() would take others for the same number.
    if data[len(_FORMAT) : start] != b"%08x\n" % zlib.crc32(memoryview(data)[start:]):
        raise ValueError("its checksum does not fit")
    line_end = data.index(b"\n", start)
    header = json.loads(data[start:line_end])
    body = memoryview(data)[line_end + 1 :]
    at = header["identity"]
    rows = bytes(body[:at])
    columns = {}
    for name, (kind, shape) in header["columns"].items():
        dtype = np.dtype(kind)
        size = int(np.prod(shape)) * dtype.itemsize
        columns[name] = np.frombuffer(body[at : at + size], dtype).reshape(shape)
        at += size
    flaps = header["flaps"]
    flap_rows = np.frombuffer(body, np.int32, flaps, at)
    flap_times = np.frombuffer(body, np.int64, flaps, at + 4 * flaps)
    at += 12 * flaps
    # An older version has none.
    written = json.loads(bytes(body[at : at + header["events"]])) if "events" in header else []
    events = tuple(json.dumps(Event(*event)) for event in written)
    return Capture(rows, float(header["saved"]), int(header["monotonic"]), columns, flap_rows, flap_times, events)


def restore(verdicts: Verdicts, state: Capture) -> int:
    """Give each device that is still the same its state back; returns how many are. Before the loop starts."""
    names = [tuple(pair) for pair in json.loads(state.identity)]
    position = {(device.name, device.address): row for row, device in enumerate(verdicts.inventory.probed)}
    mapping = np.array([*(position.get(name, -1) for name in names), len(position)], np.int32)
    # What was n seconds ago when it was saved is n seconds and the time between ago now, by the wall clock.
    away = max(0.0, time.time() - state.saved)
    shift = time.monotonic_ns() - state.monotonic - int(away * 1e9)
    saved = Columns(())
    for name in (*FIELDS, *_HISTOGRAM):
        fresh = getattr(verdicts.columns, name)
        column = state.columns.get(name)
        if column is None or column.shape[1:] != fresh.shape[1:]:  # written by another version
            column = np.zeros((len(mapping), *fresh.shape[1:]), fresh.dtype)
        if name in MONOTONIC_FIELDS:
            column = np.where(column != 0, column + shift, 0)
        setattr(saved, name, column)
    verdicts.columns.copy_from(saved, mapping)
    verdicts.history.restore(Event(*json.loads(line)) for line in state.events)
    for row, at in zip(state.flap_rows.tolist(), state.flap_times.tolist(), strict=True):
        if 0 <= mapping[row] < len(verdicts.inventory.devices):
            verdicts.flaps.setdefault(int(mapping[row]), deque()).append(at + shift)
    return int((mapping[:-1] >= 0).sum())
