"""Which generations of the servers there are, and how a machine gets them.

FLOOR is what the machine's own apt gives (Debian bookworm: the oldest versions that the project supports);
TRIXIE is Debian's next release, unpacked below `.cache/servers/trixie`, with no change to the system. A
machine that cannot reach trixie runs the floor alone and `summary()` says so; where the environment variable
CI is set, that is a failure.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "servers"
POLICY = Path("/usr/sbin/policy-rc.d")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class ServersError(Exception):
    """A program is missing and could not be installed, or a server did not start; the message says why."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of versions: `packages` maps a Debian package to the programs that it brings, below `root`."""

    name: str
    root: Path
    packages: Mapping[str, tuple[str, ...]]

    def missing(self) -> list[str]:
        """The packages of which some program is not there, in the order of the list."""
        return [
            package
            for package, programs in self.packages.items()
            if not all((self.root / program).exists() for program in programs)
        ]


_SERVERS = {
    "prometheus": ("usr/bin/prometheus", "usr/bin/promtool"),
    "prometheus-alertmanager": ("usr/bin/prometheus-alertmanager", "usr/bin/amtool"),
    "victoria-metrics": ("usr/bin/victoria-metrics", "usr/bin/vmagent", "usr/bin/vmalert"),
    "prometheus-blackbox-exporter": ("usr/bin/prometheus-blackbox-exporter",),
    "prometheus-smokeping-prober": ("usr/bin/prometheus-smokeping-prober",),
    "prometheus-snmp-exporter": ("usr/bin/prometheus-snmp-exporter",),
}
# The kernel's tools, those of SNMP and the browser are not bound to a generation: the machine's own are enough.
_TOOLS = {
    "chromium": ("usr/bin/chromium",),
    "fping": ("usr/bin/fping",),
    "iproute2": ("usr/sbin/ip", "usr/sbin/tc"),
    "libcap2-bin": ("usr/sbin/capsh",),
    "snmp": ("usr/bin/snmpget", "usr/bin/snmpbulkwalk"),
    "snmpd": ("usr/sbin/snmpd",),
    "systemd": ("usr/bin/systemctl", "usr/bin/systemd-analyze"),
    "util-linux": ("usr/bin/nsenter", "usr/bin/unshare", "usr/bin/setpriv"),
}
FLOOR = Generation("floor", Path("/"), _SERVERS | _TOOLS)
# From trixie on promtool is a package of its own, and vmalert-tool is there.
TRIXIE = Generation(
    "trixie",
    CACHE / "trixie",
    _SERVERS
    | {
        "prometheus": ("usr/bin/prometheus",),
        "promtool": ("usr/bin/promtool",),
        "victoria-metrics": (*_SERVERS["victoria-metrics"], "usr/bin/vmalert-tool"),
        # Of the compose file alone.
        "docker-compose": ("usr/bin/docker-compose",),
        "prometheus-node-exporter": ("usr/bin/prometheus-node-exporter",),
    },
)


def generations() -> list[Generation]:
    """The generations that are here: FLOOR, and TRIXIE unless this machine could not get it.

    Under CI a missing generation raises ServersError instead, so that no run passes on half of the proof.
    """
    if not TRIXIE.missing():
        return [FLOOR, TRIXIE]
    if "CI" in os.environ:
        raise ServersError("CI needs both generations, and trixie is missing: run `python -m tests.servers`")
    return [FLOOR]


def summary() -> str:
    """One line for the end of a test run: what the real servers were, and what was left out."""
    if TRIXIE.missing():
        return (
            "real servers: the machine's own only; those of Debian trixie were LEFT OUT "
            "(`python -m tests.servers` says why)"
        )
    return "real servers: the machine's own and those of Debian trixie"


def program(name: str, generation: Generation) -> Path:
    """The path of a program such as `promtool` in one generation; ServersError if it is not there."""
    found = next(
        (path for paths in generation.packages.values() for path in paths if Path(path).name == name), None
    )
    if found is None:
        raise ServersError(f"no package of the generation {generation.name!r} brings a program {name!r}")
    if not (generation.root / found).exists():
        raise ServersError(f"{generation.root / found} is missing: run `python -m tests.servers`")
    return generation.root / found


def ensure() -> None:
    """Install what is missing of both generations; returns at once when all is there.

    Raises ServersError when the floor cannot be completed, or, under CI, when trixie cannot.
    """
    if not FLOOR.missing() and not TRIXIE.missing():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if packages := FLOOR.missing():
            _install(packages)
        if TRIXIE.missing():
            try:
                _unpack(TRIXIE)
            except ServersError as error:
                if "CI" in os.environ:
                    raise
                print(f"tests run without the servers of Debian trixie: {error}", file=sys.stderr)


def _install(packages: Sequence[str]) -> None:
    command = ["apt-get", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    if os.geteuid() != 0:
        raise ServersError(f"programs are missing; run: sudo apt-get install {' '.join(packages)}")
    with _no_service_starts():
        _apt([*command, "update"])
        _apt([*command, "install", *packages])
    if missing := FLOOR.missing():
        raise ServersError(f"installed, but without the programs that tests need: {', '.join(missing)}")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Have invoke-rc.d refuse to start anything (status 101), then put back what stood there before."""
    saved = POLICY.with_suffix(".saved-by-tests")
    if POLICY.exists():
        POLICY.rename(saved)
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
        if saved.exists():
            saved.rename(POLICY)


def _unpack(generation: Generation) -> None:
    """Download the generation's packages, with lists and caches of their own, and unpack them."""
    mirror = _debian_mirror()
    # In the cache folder, not in /tmp: the last step is a rename, which must not cross file systems.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        work = Path(folder)
        for name in ("lists", "cache", "packages", "root"):
            (work / name).mkdir()
        sources = work / "sources.list"
        sources.write_text(f"deb [signed-by={KEYRING}] {mirror} {generation.name} main\n")
        options = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::Lists": work / "lists",
            "Dir::Cache": work / "cache",
            # apt's download user may not enter our folder.
            "APT::Sandbox::User": "root",
            "Acquire::http::Timeout": 20,
        }
        command = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
        _apt([*command, "update"])
        wanted = [f"{package}/{generation.name}" for package in generation.packages]
        _apt([*command, "download", *wanted], cwd=work / "packages")
        for package in sorted((work / "packages").glob("*.deb")):
            _apt(["dpkg", "-x", str(package), str(work / "root")])
        shutil.rmtree(generation.root, ignore_errors=True)
        (work / "root").rename(generation.root)
    if missing := generation.missing():
        raise ServersError(f"unpacked, but without the programs that tests need: {', '.join(missing)}")


def _debian_mirror() -> str:
    """The address that this machine's own apt reads Debian from."""
    found = _apt(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"])
    if not found.split() or not KEYRING.exists():
        raise ServersError("this machine's apt reads no Debian archive, or has no Debian keyring")
    return found.split()[0]


def _apt(command: Sequence[str], cwd: Path | None = None) -> str:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=900
        )
    except FileNotFoundError as error:
        raise ServersError(f"no {command[0]} here: the servers come from Debian packages") from error
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise ServersError(f"{command[0]} failed with status {done.returncode}:\n{last}")
    return done.stdout
