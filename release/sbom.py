"""The bill of materials: every package of the lock, with the hashes of its files, as CycloneDX 1.6 JSON."""

from __future__ import annotations

import json
import re
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.!+-]+)(?: ; (?P<marker>.+?))?(?P<hashes>(?: --hash=\S+)+)")
_NAME = re.compile(r"[\w.-]+")


class Pin(NamedTuple):
    """One package of a lock; `marker` says on which machines it is installed, "" for all."""

    name: str
    version: str
    marker: str
    sha256: tuple[str, ...]


def pins(lock: str) -> Iterator[Pin]:
    """The packages that a lock holds; raises ValueError at a line that is none."""
    for line in lock.replace("\\\n", " ").splitlines():
        found = _PIN.fullmatch(" ".join(line.split()))
        if found is None:
            raise ValueError(f"no package with its hashes: {line[:80]!r}")
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", found["hashes"])
        yield Pin(found["name"], found["version"], found["marker"] or "", tuple(hashes))


def render(project: Path, lock: Path, version: str, epoch: int) -> str:
    """The document, the same for the same lock, version and time."""
    about = tomllib.loads(project.read_text())["project"]
    name = about["name"]
    packages = list(pins(lock.read_text()))
    direct, building = _names(about["dependencies"]), _names(about["optional-dependencies"]["build"])
    root = {
        "type": "application",
        "bom-ref": name,
        "name": name,
        "version": version,
        "description": about["description"],
        "licenses": [{"license": {"id": about["license"]}}],
        "purl": f"pkg:pypi/{name}@{version}",
    }
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{name} {version} {lock.read_text()}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": root,
        },
        "components": [_component(pin, pin.name in building) for pin in packages],
        "dependencies": [
            {"ref": name, "dependsOn": sorted(_reference(pin) for pin in packages if pin.name in direct)}
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _names(requirements: list[str]) -> set[str]:
    """The names in requirements such as `numpy>=1.26`, as a lock spells them."""
    found = (_NAME.match(text) for text in requirements)
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match is not None}


def _reference(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"


def _component(pin: Pin, only_builds: bool) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(pin),
        "name": pin.name,
        "version": pin.version,
        # Of `excluded` nothing is in a running exporter.
        "scope": "excluded" if only_builds else "required",
        "purl": _reference(pin),
        # One of these files is what is installed; which of them, the machine decides.
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{pin.name}/{pin.version}/",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.sha256],
            }
        ],
    }
    if pin.marker:
        component["properties"] = [{"name": "python:marker", "value": pin.marker}]
    return component
