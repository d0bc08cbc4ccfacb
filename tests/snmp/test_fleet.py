"""Many devices at once, from their counters to PromQL."""

from __future__ import annotations

from tests.simnet import Simnet
from tests.snmp.fleet import PORT, Fleet
from tests.snmp.soak import FAST, running, soak


def test_prometheus_scrapes_two_hundred_devices() -> None:
    """For twenty seconds no scrape fails, no device is silent, and rates are those that the devices count at."""
    with running(FAST) as prometheus:
        assert "none failed" in soak(prometheus, FAST, 20)


def test_every_address_is_a_device_of_its_own() -> None:
    """On the simulated network and on its loopback, each by its own name, but for those that shall be silent."""
    ask = ("snmpget", "-v2c", "-c", "public", "-r1", "-t1", "-OQUv")
    with Simnet() as net, Fleet(net, 2, silent=["10.9.0.0/16"]) as fleet:
        names = [
            net.run([*ask, f"{address}:{PORT}", "1.3.6.1.2.1.1.5.0"], capture_output=True, text=True)
            for address in ("10.1.2.3", "10.9.2.3", "127.1.2.3")
        ]
        assert [name.stdout.strip() for name in names] == ['"sw-0a010203"', "", '"sw-7f010203"']
        assert fleet.counts() == (2, 2)
