"""What Grafana is provisioned with, as far as that can be told without Grafana."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROVISIONING = ROOT / "dashboards" / "provisioning"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
GRAFANA = COMPOSE["services"]["grafana"]
JOBS = yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]
DATABASES = {"victoriametrics": "VictoriaMetrics", "prometheus": "Prometheus"}
every_database = pytest.mark.parametrize("profile", DATABASES)


def provisioned(profile: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROVISIONING / "datasources" / f"{profile}.yml").read_text())
    return found


@every_database
def test_the_database_of_the_profile_is_the_default(profile: str) -> None:
    """Each profile has its data source, by a fixed uid, for PromQL, asked by POST, and with the scrape interval."""
    (source,) = provisioned(profile)["datasources"]
    assert source["name"] == DATABASES[profile]
    assert source["uid"] == f"ward-{profile}"
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    assert source["editable"] is False
    assert source["jsonData"]["httpMethod"] == "POST"
    (interval,) = {job["scrape_interval"] for job in JOBS if job["job_name"] == "ward-exporter"}
    assert source["jsonData"]["timeInterval"] == interval
    # The file's name is the profile's, by which the compose file chooses.
    assert profile in COMPOSE["services"][profile]["profiles"]


@every_database
def test_a_change_of_the_profile_leaves_no_dead_data_source(profile: str) -> None:
    """The other database's data source is deleted, for one that does not answer would be chosen again and again."""
    (other,) = set(DATABASES.values()) - {DATABASES[profile]}
    assert provisioned(profile)["deleteDatasources"] == [{"name": other, "orgId": 1}]


@every_database
def test_rules_of_the_database_lead_to_the_alertmanager(profile: str) -> None:
    """The data source of Alertmanager is there under the uid that the databases name, as Prometheus's own kind."""
    (alertmanager,) = yaml.safe_load((PROVISIONING / "datasources" / "alertmanager.yml").read_text())["datasources"]
    (source,) = provisioned(profile)["datasources"]
    assert source["jsonData"]["alertmanagerUid"] == alertmanager["uid"] == "ward-alertmanager"
    assert alertmanager["type"] == "alertmanager"
    assert alertmanager["jsonData"]["implementation"] == "prometheus"


def test_dashboards_are_files_and_stay_so() -> None:
    """They are read from the mounted folder, cannot be changed in the browser, and do not vanish with a file."""
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "ward.yml").read_text())["providers"]
    assert provider["disableDeletion"] is True
    assert provider["allowUiUpdates"] is False
    assert provider["type"] == "file"
    assert provider["folder"]
    places = {mount["source"]: mount["target"] for mount in GRAFANA["volumes"]}
    assert provider["options"]["path"] == places["./dashboards"]
    assert places["./dashboards/provisioning/dashboards"] == "/etc/grafana/provisioning/dashboards"


def test_every_json_file_there_is_a_dashboard() -> None:
    """Grafana reads all JSON below the folder: each is a dashboard with a uid and a title of its own."""
    boards = [json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").rglob("*.json"))]
    assert boards
    for key in ("uid", "title"):
        values = [board[key] for board in boards]
        assert len(set(values)) == len(values)
        assert all(values)


def test_home_is_the_overview() -> None:
    """Who signs in sees the NOC overview."""
    home = GRAFANA["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    places = {mount["source"]: mount["target"] for mount in GRAFANA["volumes"]}
    file = ROOT / "dashboards" / Path(home).relative_to(places["./dashboards"])
    assert json.loads(file.read_text())["uid"] == "ward-overview"
