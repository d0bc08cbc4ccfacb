"""docker-compose.yml as Compose itself reads it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers import TRIXIE, program

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("victoriametrics", "prometheus")
PASSWORD = "not-the-default"


def compose(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`docker-compose config` with these variables, and nobody's .env."""
    compose_file = ROOT / "docker-compose.yml"
    command = [str(program("docker-compose", TRIXIE)), "--env-file=/dev/null", f"--file={compose_file}"]
    return subprocess.run(
        [*command, "config", "--format=json"],
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
        capture_output=True,
        text=True,
    )


@cache
def resolved(profile: str) -> dict[str, Any]:
    """The whole file in a profile, every variable at its default, every short form written out."""
    done = compose({"COMPOSE_PROFILES": profile, "GRAFANA_ADMIN_PASSWORD": PASSWORD})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def services(profile: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = resolved(profile)["services"]
    return found
