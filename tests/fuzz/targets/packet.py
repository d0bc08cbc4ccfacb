"""The parser of received packets: of any bytes, off any kind of socket, it makes an arrival each."""

from __future__ import annotations

import socket

import numpy as np

from exporter.icmp.arrivals import Parser
from exporter.icmp.channel import RECEIVE_CONTROL
from exporter.icmp.packet import ROW_BYTES

_PARSERS = [Parser(family, raw) for family in (socket.AF_INET, socket.AF_INET6) for raw in (True, False)]


def fuzz(data: bytes) -> None:
    """The first byte is the kind of socket, and each 200 of the rest are a packet."""
    if not data:
        return
    parser = _PARSERS[data[0] % len(_PARSERS)]
    packets = [data[1:][start : start + 200] for start in range(0, len(data) - 1, 200)] or [b""]
    rows = np.zeros((len(packets), ROW_BYTES), np.uint8)
    for row, one in zip(rows, packets, strict=True):
        whole = np.frombuffer(one[:ROW_BYTES], np.uint8)
        row[: len(whole)] = whole
    lengths = np.array([min(len(one), ROW_BYTES) for one in packets], np.uint32)
    names = np.zeros((len(packets), 28), np.uint8)
    controls = np.zeros(len(packets), RECEIVE_CONTROL)
    arrivals = parser.parse(rows, lengths, names, controls)
    if {len(column) for column in arrivals} != {len(packets)}:
        raise AssertionError("not as many have arrived as were received")
