"""`python replay.py FILE`: answers net-snmp's agent out of a recording, by its `pass_persist` (snmpd.conf(5)).

A recording is a text with a line for each value, in the order of walks, as snmpsim writes them: `OID|TAG|VALUE`,
with an x behind the tag where the value is in hexadecimal. It knows nothing of this project.
"""

import bisect
import sys
from pathlib import Path

TYPES = {
    "2": "integer",
    "4": "string",
    "4x": "octet",
    "6": "objectid",
    "64": "ipaddress",
    "65": "counter",
    "66": "gauge",
    "67": "timeticks",
    "70": "counter64",
}


def arcs(oid: str) -> tuple[int, ...]:
    return tuple(map(int, oid.strip(".").split(".")))


def main() -> None:
    rows = [line.split("|") for line in Path(sys.argv[1]).read_text().splitlines()]
    names = [arcs(oid) for oid, _, _ in rows]
    assert names == sorted(names)
    for line in sys.stdin:
        if line == "PING\n":
            print("PONG", flush=True)
            continue
        wanted = arcs(sys.stdin.readline())
        place = bisect.bisect_left(names, wanted) if line == "get\n" else bisect.bisect_right(names, wanted)
        if place == len(names) or (line == "get\n" and names[place] != wanted):
            print("NONE", flush=True)
            continue
        oid, tag, value = rows[place]
        if tag == "4x":
            value = " ".join(value[start : start + 2] for start in range(0, len(value), 2))
        print(f".{oid}\n{TYPES[tag]}\n{value}", flush=True)


if __name__ == "__main__":
    main()
