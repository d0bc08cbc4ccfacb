"""HTTP and TCP checks: inventory -> /sd -> the shipped jobs -> blackbox_exporter with the shipped modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.exporter import Exporter
from tests.compose.answering import answering
from tests.servers import BlackboxExporter, Generation, Prometheus, VictoriaMetrics, generations
from tests.stack.inside import until

ROOT = Path(__file__).resolve().parents[2]
MODULES = (ROOT / "deploy" / "blackbox" / "blackbox.yml").read_text()
JOBS = ("blackbox-http", "blackbox-tcp")
#: The job that docs/compose.md shows, for all devices of a role.
OF_A_ROLE = "atm-port"
#: The databases of each generation, by a name for the test.
DATABASES: dict[str, tuple[type[Prometheus] | type[VictoriaMetrics], Generation]] = {
    f"{kind.PROGRAM}-{generation.name}": (kind, generation)
    for generation in generations()
    for kind in (Prometheus, VictoriaMetrics)
}
every_database = pytest.mark.parametrize("name", DATABASES)

#: name -> what the inventory says, with the {port}s of its services; what its HTTP and its TCP check find.
Expected = tuple[dict[str, Any], int | None, int | None]
DEVICES: dict[str, Expected] = {
    "page": ({"check_http": "http://127.0.0.1:{http}/200"}, 1, None),
    "page-broken": ({"check_http": "http://127.0.0.1:{http}/500"}, 0, None),
    "page-silent": ({"check_http": "http://127.0.0.1:{closed}/200"}, 0, None),
    "login": ({"check_http": "http://127.0.0.1:{http}/401", "check_module": "http_protected"}, 1, None),
    "login-open": ({"check_http": "http://127.0.0.1:{http}/200", "check_module": "http_protected"}, 0, None),
    "own-certificate": (
        {"check_http": "https://127.0.0.1:{https}/200", "check_module": "http_any_certificate"},
        1,
        None,
    ),
    "untrusted": ({"check_http": "https://127.0.0.1:{https}/200"}, 0, None),
    "port": ({"check_tcp": "{http}"}, None, 1),
    "port-closed": ({"check_tcp": "{closed}"}, None, 0),
    "port-of-v6": ({"address": "::1", "check_tcp": "{ssh6}"}, None, 1),
    "ssh": ({"check_tcp": "{ssh}", "check_module": "tcp_ssh"}, None, 1),
    "no-tls": ({"check_tcp": "{ssh}", "check_module": "tcp_tls"}, None, 0),
    "both": ({"check_http": "http://127.0.0.1:{http}/200", "check_tcp": "{ssh}", "check_module": "tcp_ssh"}, 1, 1),
    "neither": ({"rack": "a3"}, None, None),
}
CASH = {"name": "cash-1", "address": "127.0.0.1", "site": "here", "role": "atm"}


def inventory(ports: dict[str, int]) -> str:
    devices = []
    for name, (said, _, _) in DEVICES.items():
        labels = {key: value.format(**ports) for key, value in said.items() if key != "address"}
        address = said.get("address", "127.0.0.1")
        devices.append({"name": name, "address": address, "site": "here", "role": "server", "labels": labels})
    return yaml.safe_dump({"devices": [*devices, CASH]})


def scraping(exporter: str, blackbox: str, cash: int) -> str:
    """The two shipped jobs, and the documented one at port `cash`, at the addresses of this test, each second."""
    text = (ROOT / "prometheus.yml").read_text() + shown_job().replace(":443", f":{cash}")
    config = yaml.safe_load(text.replace("exporter:9841", exporter).replace("blackbox-exporter:9115", blackbox))
    jobs = [job for job in config["scrape_configs"] if job["job_name"] in (*JOBS, OF_A_ROLE)]
    assert [job["job_name"] for job in jobs] == [*JOBS, OF_A_ROLE]
    for job in jobs:
        job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    return yaml.safe_dump({"scrape_configs": jobs})


def shown_job() -> str:
    """The end of prometheus.yml, as docs/compose.md shows it."""
    blocks = re.findall(r"(?ms)^```yaml\n(.*?)^```", (ROOT / "docs" / "compose.md").read_text())
    (found,) = [block for block in blocks if f"- job_name: {OF_A_ROLE}" in block]
    return str(found)


Databases = dict[str, Prometheus | VictoriaMetrics]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Each database scrapes the blackbox_exporter of its own generation; all ask the same exporter for devices."""
    folder = tmp_path_factory.mktemp("checks")
    with ExitStack() as cleanup:
        ports = cleanup.enter_context(answering(folder))
        (folder / "devices.yml").write_text(inventory(ports))
        exporter = cleanup.enter_context(Exporter(f"inventory: [{{file: {folder / 'devices.yml'}}}]"))
        blackbox = {
            one.name: cleanup.enter_context(BlackboxExporter(MODULES, generation=one)) for one in generations()
        }
        running: Databases = {}
        for name, (kind, generation) in DATABASES.items():
            checker = f"127.0.0.1:{blackbox[generation.name].port}"
            config = scraping(f"127.0.0.1:{exporter.port}", checker, ports["ssh"])
            database: Prometheus | VictoriaMetrics = kind(config, generation=generation)
            cleanup.enter_context(database)
            running[name] = database
        yield running


@every_database
def test_devices_are_checked_as_their_labels_say(databases: Databases, name: str) -> None:
    """A device is checked by HTTP, by TCP, by both or not at all, with the module that it names, over IPv6 too.

    A job of its own checks a whole role.
    """
    database = databases[name]
    wanted = {
        (device, job): finding
        for device, (_, *findings) in DEVICES.items()
        for job, finding in zip(JOBS, findings, strict=True)
        if finding is not None
    }
    wanted["cash-1", OF_A_ROLE] = 1
    until(lambda: len(database.query("probe_success")) >= len(wanted), "each check has been made")
    found = database.query("probe_success")
    assert {(one.labels["device"], one.labels["job"]): one.value for one in found} == wanted
    assert {sample.value for sample in database.query('up{job=~"blackbox.*|atm-port"}')} == {1}


@every_database
def test_a_check_has_the_labels_of_its_device(databases: Databases, name: str) -> None:
    """A check joins with the device's other series, says what was asked, and carries no instruction along."""
    database = databases[name]
    until(lambda: database.query('probe_success{device="port-of-v6"}'), "the check has been made")
    (sample,) = database.query('probe_success{device="port-of-v6"}')
    port = sample.labels["instance"].removeprefix("[::1]:")
    assert port.isdecimal()
    assert sample.labels == {
        "__name__": "probe_success",
        "job": "blackbox-tcp",
        "instance": f"[::1]:{port}",
        "device": "port-of-v6",
        "site": "here",
        "role": "server",
        "priority": "3",
    }
