"""Known vulnerabilities of every locked package, those of the tests included, by pip-audit; a part of `make lint`.

pip-audit asks PyPI about each package. A mirror may have no answer, and pip-audit then finds nothing wrong; here it
is said that the audit was LEFT OUT, as without a network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from release.sbom import pins

LOCK = Path(__file__).resolve().parents[1] / "requirements-dev.lock"


def audit(lock: str, program: tuple[str, ...]) -> tuple[int, str]:
    """The exit status, and what to say."""
    packages = list(pins(lock))
    # One package first: a mirror that has no data is not asked for all of them.
    canary = packages[0]
    known, said = _ask(f"{canary.name}=={canary.version}\n", program, "--no-deps")
    if not _answered(known):
        return 0, f"the audit of {len(packages)} packages was LEFT OUT: {said}"
    found, said = _ask(lock, program, "--require-hashes")
    unknown = [package["name"] for package in found if "skip_reason" in package]
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {hole['fix_versions'] or 'none'}"
        for package in found
        for hole in package.get("vulns", ())
    ]
    if unknown or not found:
        return 1, f"not audited: {', '.join(unknown) or said}"
    return int(bool(holes)), "\n".join(holes) or f"{len(found)} packages, no known vulnerability"


def _answered(packages: list[dict[str, Any]]) -> bool:
    return any("vulns" in package for package in packages)


def _ask(requirements: str, program: tuple[str, ...], how: str) -> tuple[list[dict[str, Any]], str]:
    """pip-audit's list of packages, empty where it has failed; and its last word."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requirements.txt"
        path.write_text(requirements)
        command = [*program, "--disable-pip", how, "--requirement", str(path), "--format=json"]
        done = subprocess.run([*command, "--progress-spinner=off"], check=False, capture_output=True, text=True)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return [], (done.stderr.strip().splitlines() or ["pip-audit says nothing"])[-1]
    return packages, next((package["skip_reason"] for package in packages if "skip_reason" in package), "")


def main() -> int:
    status, said = audit(LOCK.read_text(), (sys.executable, "-m", "pip_audit"))
    print(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
