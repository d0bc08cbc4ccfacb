"""A service of the compose file without an engine: the kernel's part of a container, done by util-linux.

What an engine would set is set by the same system calls: a root of its own that is read-only, the mounts of the
file at their places, the user, the bounding set, no new privileges. Not the same are the programs, which are
Debian's, and the network: all services share one namespace, in which /etc/hosts knows their names.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import TRIXIE, program

ROOT = Path(__file__).resolve().parents[2]
_NOBODY = 65534
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Image:
    """What an image holds, as far as the compose file leans on it: see the Dockerfile of each project.

    `runs` is what stands for its entrypoint here, `owners` the folders whose owner a new volume takes over,
    `commands` what a health check may call.
    """

    runs: str
    owners: Mapping[str, int] = field(default_factory=dict)
    commands: tuple[str, ...] = ("wget",)


#: Alpine and BusyBox bring wget; ours is Debian's Python, with neither wget nor curl.
IMAGES = {
    "ward-exporter": Image("ward-exporter", {"/var/lib/ward": 9841}, ("python",)),
    "victoriametrics/victoria-metrics": Image("victoria-metrics"),
    "victoriametrics/vmalert": Image("vmalert"),
    "prom/prometheus": Image("prometheus", {"/prometheus": _NOBODY}),
    "prom/alertmanager": Image("prometheus-alertmanager", {"/alertmanager": _NOBODY}),
    "prom/blackbox-exporter": Image("prometheus-blackbox-exporter"),
    "prom/node-exporter": Image("prometheus-node-exporter"),
    "grafana/grafana": Image("", {"/var/lib/grafana": 472}),
}


def image_of(service: Mapping[str, Any]) -> Image:
    return IMAGES[service["image"].rpartition(":")[0]]


def executable(image: Image) -> Path:
    """Debian's program for an image's; ward-exporter is this environment's own."""
    if image.runs == "ward-exporter":
        return Path(sys.executable).with_name(image.runs)
    return program(image.runs, TRIXIE)


@contextmanager
def network(sysctls: Mapping[str, str]) -> Iterator[int]:
    """A network namespace with loopback alone; gives the process that holds it."""
    settings = "".join(f"sysctl -qw {name}='{value}'; " for name, value in sysctls.items())
    command = ["unshare", "--net", "sh", "-euc", f"ip link set lo up; {settings} echo; exec sleep infinity"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"\n"
            yield holder.pid
        finally:
            holder.kill()


class Container:
    """One service, in the network namespace of the process `network`; `files` replaces mounted files by others.

    `folder` is where volumes lie, by name; services that share a volume are given the same folder.
    """

    def __init__(
        self,
        service: Mapping[str, Any],
        folder: Path,
        network: int,
        hosts: str = "",
        files: Mapping[str, Path] | None = None,
    ) -> None:
        self.service = service
        self._folder = folder
        self._image = image_of(service)
        user, group = service["user"].split(":")
        bounding = ["-all", *(f"+{name.lower()}" for name in service.get("cap_add", ()))]
        privileges = [
            *("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"),
            *("--inh-caps=-all", "--ambient-caps=-all", f"--bounding-set={','.join(bounding)}", "--no-new-privs"),
        ]
        #: The environment of an image is not that of the tests: only what the file says, and where programs are.
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/usr/sbin"
        variables = {"PATH": path, **service.get("environment", {})}
        self._as_user = [*privileges, "env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        entry = service.get("entrypoint") or [str(executable(self._image))]
        place = folder / "root"
        place.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text(hosts)
        inside = ["chroot", str(place), *self._as_user, *entry, *(service.get("command") or ())]
        script = "\n".join([*self._mounts(place, files or {}), f"exec {shlex.join(inside)}"])
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net=/proc/{network}/ns/net", "unshare", "--mount", "sh", "-euc", script],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def _mounts(self, place: Path, files: Mapping[str, Path]) -> list[str]:
        """Shell commands that make the root at `place`, in a mount namespace that nobody else sees."""

        def bind(source: Path, target: str, *options: str) -> list[str]:
            at = f"{place}{target}"
            make = f"mkdir -p {at}" if source.is_dir() else f"mkdir -p {Path(at).parent} && touch {at}"
            mount = [make, f"mount --rbind {source} {at}"]
            return [*mount, *(f"mount -o remount,bind,{option} {at}" for option in options)]

        interpreter = Path(sys.base_prefix)
        commands = [
            "mount --make-rprivate /",
            f"mount -t tmpfs -o mode=0755 tmpfs {place}",
            *(line for name in ("usr", "proc", "sys", "dev") for line in bind(Path(f"/{name}"), f"/{name}")),
            *(f"ln -s usr/{name} {place}/{name}" for name in ("bin", "lib", "lib64", "sbin")),
            *bind(self._folder / "hosts", "/etc/hosts"),
            f"echo hosts: files > {place}/etc/nsswitch.conf",
        ]
        for mount in self.service.get("volumes", ()):
            target = mount["target"]
            if mount["type"] == "volume":
                volume = self.volume(mount["source"])
                if not volume.exists():
                    volume.mkdir()
                    os.chown(volume, self._image.owners.get(target, 0), 0)
                commands += bind(volume, target)
            else:
                commands += bind(files.get(mount["source"], Path(mount["source"])), target, "ro")
        for target in ("/dev/shm", *self.service.get("tmpfs", ())):
            commands += [f"mkdir -p {place}{target}", f"mount -t tmpfs -o mode=1777 tmpfs {place}{target}"]
        # Where the tests' own programs are: of the image, in a container. Last, as they may lie in one of these.
        commands += bind(ROOT, str(ROOT))
        if not interpreter.is_relative_to("/usr"):
            commands += bind(interpreter, str(interpreter))
        return [*commands, f"mount -o remount,ro {place}"]

    def volume(self, name: str) -> Path:
        return self._folder.parent / f"volume-{name}"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command beside the service, as its user: what `docker exec` does."""
        enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--root", "--wdns=/"]
        return subprocess.run(
            [*enter, *self._as_user, *command], check=False, capture_output=True, text=True, timeout=30
        )

    def healthy(self, test: list[str]) -> bool:
        """The health check `test`, once."""
        assert test[0] == "CMD"
        return self.process.poll() is None and self.run(*test[1:]).returncode == 0

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")

    def status(self) -> dict[str, str]:
        """/proc/PID/status."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def stop(self) -> None:
        self.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
