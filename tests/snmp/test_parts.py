"""A page that is scraped in parts, by the job that docs/snmp.md writes out."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.servers import FLOOR, Prometheus
from tests.serving import until
from tests.snmp.agents import Agent
from tests.snmp.test_polling import polling, rows, until_polled

PAGE = Path(__file__).parents[2] / "docs" / "snmp.md"
DEVICES = {f"sw{number}" for number in range(12)}


def written(port: int) -> str:
    """The job of the page, each second and to this port."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "__param_shard" in block)
    text = block.replace("exporter:9841", f"127.0.0.1:{port}").replace("60s", "1s").replace("30s", "1s")
    return yaml.safe_dump({"scrape_configs": yaml.safe_load(text)})


def test_a_page_is_scraped_in_parts(tmp_path: Path) -> None:
    """Each device comes with exactly one of the parts, and each part is a target that is up."""
    agents = {name: Agent(rows(1)) for name in DEVICES}
    with polling(tmp_path, agents) as serving:
        until_polled(serving, DEVICES)
        with Prometheus(written(serving.port), generation=FLOOR) as server:
            until(lambda: len(server.query("ward_snmp_up == 1")) == len(DEVICES))
            found = [sample.labels["device"] for sample in server.query("ownUptime")]
            assert sorted(found) == sorted(DEVICES)
            until(lambda: len(server.query("up == 1")) == 4)
