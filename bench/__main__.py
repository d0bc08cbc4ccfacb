"""`python -m bench [NAME...] [--quick]`: run the benches of these names, or all, and print one table.

Ends with status 1 where a bar is not met. Root (raw sockets, network namespaces), and a machine with nothing else
to do: numbers from a busy one are worth little. Packets go to loopback and to private namespaces only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import cost, exposition, latency, paging, snmp, wallboard
from bench.effort import FULL, QUICK, Effort
from bench.row import Row, table
from tests.servers import ensure

BENCHES: dict[str, Callable[[Effort], list[Row]]] = {
    "cpu-10k": cost.cpu_10k,
    "small": cost.small,
    "large": cost.large,
    "scaling": cost.scaling,
    "rtt-under-load": latency.rtt_under_load,
    "simnet-accuracy": latency.simnet_accuracy,
    "detection": latency.detection,
    "start": latency.start,
    "exposition": exposition.exposition,
    "paging": paging.paging,
    "noise": paging.noise,
    "snmp": snmp.snmp,
    "snmp-fleet": snmp.snmp_fleet,
    "snmp-10k": snmp.snmp_10k,
    "snmp-probes": snmp.snmp_probes,
    "snmp-discover": snmp.snmp_discover,
    "wallboard": wallboard.screen,
    "wallboard-feed": wallboard.feed,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(BENCHES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="one short run of each, to see that it works")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - BENCHES.keys():
        parser.error(f"no such bench: {', '.join(sorted(unknown))}; one of {', '.join(BENCHES)}")
    ensure()
    rows: list[Row] = []
    for name in arguments.name or BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += BENCHES[name](QUICK if arguments.quick else FULL)
    print(table(rows))
    return int(any(row.ok is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
