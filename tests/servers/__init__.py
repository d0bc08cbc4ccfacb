"""Real servers for the tests: two generations of Debian's packages, and context managers that run them.

`python -m tests.servers` (or `ensure()`) installs what is missing. Each server class starts its program,
waits until its ready endpoint answers, and stops it at the end of the `with` block:

    with Prometheus(config_text, generation=TRIXIE) as prometheus:
        prometheus.query("up")
"""

from tests.servers.install import (
    FLOOR,
    TRIXIE,
    Generation,
    ServersError,
    ensure,
    generations,
    program,
    summary,
)
from tests.servers.running import (
    Alertmanager,
    BlackboxExporter,
    Prometheus,
    Sample,
    Server,
    SmokepingProber,
    SnmpExporter,
    VictoriaMetrics,
    Vmagent,
    Vmalert,
    free_port,
)
from tests.servers.snmpd import Snmpd

__all__ = [
    "FLOOR",
    "TRIXIE",
    "Alertmanager",
    "BlackboxExporter",
    "Generation",
    "Prometheus",
    "Sample",
    "Server",
    "ServersError",
    "SmokepingProber",
    "SnmpExporter",
    "Snmpd",
    "VictoriaMetrics",
    "Vmagent",
    "Vmalert",
    "ensure",
    "free_port",
    "generations",
    "program",
    "summary",
]
