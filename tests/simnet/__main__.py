"""The child process of a Simnet: `python -m tests.simnet CONTROL_FD PARENT_PID`.

It makes the namespace, which ends with it: whatever still runs inside is killed when it leaves.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from tests.simnet import kernel
from tests.simnet.simulator import Simulator


def main(descriptor: int, parent: int) -> None:
    # Ctrl-C reaches the whole process group; the parent decides when the network ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel.follow_parent(parent)
    control = Connection(descriptor)
    seed, default, prefixes, mtu = control.recv()
    try:
        kernel.new_network_namespace()
        tun = kernel.open_tun()
        kernel.ip(kernel.interface_up(prefixes, mtu))
    except OSError as error:
        control.send(str(error))
        return
    kernel.exact_timers()
    # A device's latency must not depend on how busy the program under test keeps the machine.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    control.send("")
    gc.freeze()
    gc.disable()
    try:
        Simulator(tun, control, seed, default).run()
    finally:
        # Again until there is none: one of them may just have started another.
        while left := kernel.processes_inside("/proc/self/ns/net"):
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.005)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
