"""icmplib's multiping by itself: prints CPU seconds, seconds, probes and answers, without the start.

Arguments: the number of devices, and of probes to each; icmplib's own default is 2 probes, half a second apart.
"""

import json
import sys
import time

import icmplib

from bench.inventory import loopback

addresses = loopback(int(sys.argv[1]))
cpu, wall = time.process_time(), time.monotonic()
hosts = icmplib.multiping(addresses, count=int(sys.argv[2]))
cpu, wall = time.process_time() - cpu, time.monotonic() - wall
sent, received = (sum(getattr(host, name) for host in hosts) for name in ("packets_sent", "packets_received"))
print(json.dumps([cpu, wall, sent, received]))
