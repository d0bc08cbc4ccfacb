"""net-snmp's agent on a free port of loopback, with a configuration and a folder of its own."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from tests.servers.running import Server

COMMUNITY = "public"
#: GET of sysUpTime.0 with that community.
_HELLO = bytes.fromhex("302602010104067075626c6963a019020101020100020100300e300c06082b060102010103000500")


def _get(port: int, _: str) -> tuple[int, Mapping[str, str], bytes]:
    """As Server wants it: OSError until the agent answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.5)
        probe.connect(("127.0.0.1", port))
        probe.send(_HELLO)
        return 200, {}, probe.recv(65_535)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Snmpd(Server):
    """snmpd, readable by the community COMMUNITY; `config` is what else shall stand in snmpd.conf.

    A view named `seen` that is defined there bounds what the community may read.
    """

    PROGRAM = "snmpd"
    READY = ""
    # Of the system's own files it reads none; what it keeps, it keeps in its folder, where it is started.
    ARGUMENTS = ("-f", "-Lo", "-C", "-I", "-smux", "udp:127.0.0.1:{port}")
    CONFIG_ARGUMENT = "-c{config}"

    def __init__(self, config: str = "", port: int | None = None) -> None:
        view = " -V seen" if "\nview seen " in f"\n{config}" else ""
        super().__init__(
            f"rocommunity {COMMUNITY} 127.0.0.1{view}\n{config}\n",
            port=_free_port() if port is None else port,
            prefix=("env", "SNMP_PERSISTENT_DIR=.", "MIBS="),
            get=_get,
        )
