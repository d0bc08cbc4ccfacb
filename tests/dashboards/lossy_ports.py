"""Counters of damaged and dropped packets that grow, as snmpd's `pass_persist` asks for them: of a network card
that is not there the kernel has none.

`python lossy_ports.py COLUMN INDEX...`: the column of ifTable, and the interfaces, each with more than the last.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

_TABLE = ".1.3.6.1.2.1.2.2.1"


def column(number: int) -> str:
    return f"{_TABLE}.{number}"


def _position(oid: str) -> list[int]:
    return [int(part) for part in oid.strip(".").split(".")]


def _answer(verb: str, asked: str, rows: Sequence[str], began: float) -> str:
    later = [row for row in rows if _position(row) > _position(asked)]
    row = asked if verb == "get" else next(iter(later), "")
    if row not in rows:
        return "NONE"
    return f"{row}\ncounter\n{int((time.time() - began) * 3 * (1 + rows.index(row)))}"


def main() -> None:
    rows = [f"{column(int(sys.argv[1]))}.{index}" for index in sys.argv[2:]]
    began = time.time()
    for line in sys.stdin:
        verb = line.strip()
        print("PONG" if verb == "PING" else _answer(verb, sys.stdin.readline().strip(), rows, began), flush=True)


if __name__ == "__main__":
    main()
