"""The bill of materials and the audit: what they say of the lock, and what they do not pass over."""

from __future__ import annotations

import json
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from exporter import __version__
from release import audit, sbom
from tests.release.installed import LOCK, ROOT

EPOCH = 1_767_225_600


@pytest.fixture(scope="module")
def text() -> str:
    return sbom.render(ROOT / "pyproject.toml", LOCK, __version__, EPOCH)


def test_it_is_cyclonedx(text: str) -> None:
    """CycloneDX's own validator takes it, in its strict mode, and dates it as the release."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["metadata"]["timestamp"] == "2026-01-01T00:00:00Z"


def test_it_lists_every_package_of_the_lock(text: str) -> None:
    """Each with version and all its hashes; what is installed here, and needed, is among them in that version."""
    bill = json.loads(text)
    # Of some there are two, for older and newer Pythons.
    listed = {(component["name"], component["version"]): component["scope"] for component in bill["components"]}
    assert sum(line[:1].isalpha() for line in LOCK.read_text().splitlines()) == len(bill["components"])
    hashes = [
        digest["content"]
        for component in bill["components"]
        for reference in component["externalReferences"]
        for digest in reference["hashes"]
    ]
    assert LOCK.read_text().count("--hash=sha256:") == len(hashes)
    here = {package.name.lower(): package.version for package in distributions()}
    assert {(name, here[name]) for name in ("numpy", "starlette", "cryptography", "h11")} <= set(listed)
    assert [name for (name, _), scope in listed.items() if scope == "excluded"] == ["flit-core"]
    (root,) = bill["dependencies"]
    assert len(root["dependsOn"]) >= 11
    assert set(root["dependsOn"]) <= {component["bom-ref"] for component in bill["components"]}


def test_a_lock_without_hashes_is_refused() -> None:
    """A line that pins nothing is never left out of the bill in silence."""
    with pytest.raises(ValueError, match="numpy"):
        list(sbom.pins("numpy==2.4.0\n"))


LOCKED = f"good==1.0 \\\n    --hash=sha256:{'0' * 64}\nbad==2.0 \\\n    --hash=sha256:{'1' * 64}\n"
SOUND = {"name": "good", "version": "1.0", "vulns": []}
HOLED = {"name": "bad", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "bad", "version": "2.0", "skip_reason": "not found"}


def answering(folder: Path, first: object, whole: object) -> tuple[str, str]:
    """A program that answers as pip-audit does: `first` about one package, `whole` about all."""
    script = folder / "pip_audit.py"
    script.write_text(
        f"import sys\nfirst = {first!r}\nwhole = {whole!r}\n"
        "answer = first if '--no-deps' in sys.argv else whole\n"
        "import json\nprint(json.dumps({'dependencies': answer}) if answer else '')\n"
    )
    return sys.executable, str(script)


@pytest.mark.parametrize(
    ("first", "whole", "status", "said"),
    [
        ([SOUND], [SOUND, {**HOLED, "vulns": []}], 0, "2 packages, no known vulnerability"),
        ([SOUND], [SOUND, HOLED], 1, "bad 2.0: PYSEC-1"),
        ([SOUND], [SOUND, SKIPPED], 1, "not audited: bad"),
        ([SOUND], [], 1, "not audited: pip-audit says nothing"),
    ],
)
def test_what_the_audit_finds(tmp_path: Path, first: object, whole: object, status: int, said: str) -> None:
    """A vulnerability fails, and so does a package of which nothing is known while others are."""
    found = audit.audit(LOCKED, answering(tmp_path, first, whole))
    assert found[0] == status
    assert said in found[1]


@pytest.mark.parametrize("first", [[{**SKIPPED, "name": "good"}], []])
def test_an_audit_that_cannot_be(tmp_path: Path, first: object) -> None:
    """Without PyPI's data it does not pass for an audit: it says that it was left out, and of how many packages."""
    status, said = audit.audit(LOCKED, answering(tmp_path, first, [SOUND]))
    assert status == 0
    assert said.startswith("the audit of 2 packages was LEFT OUT: ")
