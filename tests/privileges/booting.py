"""A systemd of the test's own: process 1 of its namespaces, which runs the shipped unit and nothing else."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.privileges.users import interpreter_for_all
from tests.serving import PROGRAM, until
from tests.simnet import Simnet

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy/systemd/ward-exporter.service"
NAME = "ward-exporter"
#: In place of /etc/ward, which a machine may have.
ETC = "/run/ward-etc"
#: What any unit leans on; the machine's own targets would start the machine's own services.
_TARGETS = ("sysinit", "basic", "shutdown", "network", "nss-lookup", "multi-user", "rescue", "emergency")


def unit_here() -> str:
    """The shipped unit, with the program of this checkout, and its configuration at ETC."""
    return UNIT.read_text().replace("/opt/ward/bin/ward-exporter", str(PROGRAM)).replace("/etc/ward", ETC)


class Systemd:
    """Runs the unit with the folder `etc` at ETC, in a simulated network; `more` is for the unit's [Service].

    What it writes to is its own too: control groups, and all folders but `folder`.
    """

    def __init__(self, folder: Path, net: Simnet, etc: Path, more: str = "") -> None:
        units = folder / "units"
        (units / f"{NAME}.service.d").mkdir(parents=True)
        for target in _TARGETS:
            (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        (units / f"{NAME}.service").write_text(unit_here())
        self.log = folder / "log"
        output = "".join(f"Standard{name}=append:{self.log}\n" for name in ("Output", "Error"))
        (units / f"{NAME}.service.d" / "here.conf").write_text(f"[Service]\n{output}{_home()}{more}")
        place, checkout = shlex.quote(str(folder)), shlex.quote(str(ROOT))
        script = f"""
            umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
            mount -t tmpfs -o mode=0755 tmpfs /run
            mkdir {ETC} /run/hold && mount --bind {shlex.quote(str(etc))} {ETC} && mount --bind {place} /run/hold
            mkdir /run/checkout && mount --bind {checkout} /run/checkout
            for path in /var/lib /var/tmp /tmp; do mount -t tmpfs -o mode=1777 tmpfs $path; done
            mkdir {place} && mount --bind /run/hold {place} && umount /run/hold
            mkdir -p {checkout} && mount --bind /run/checkout {checkout} && umount /run/checkout
            # As on any machine: systemd mounts a unit's credentials in a namespace of their own.
            mount --make-rshared /
            exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
                SYSTEMD_UNIT_PATH={shlex.quote(str(units))} /lib/systemd/systemd --system --unit={NAME}.service
        """
        namespaces = ("--pid", "--mount-proc", "--mount", "--cgroup", "--ipc", "--uts", "--propagation=private")
        self._process = net.popen(
            ["unshare", "--fork", "--kill-child", *namespaces, *interpreter_for_all(folder), "sh", "-euc", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def control(self, *words: str) -> str:
        """What systemctl prints."""
        enter = ["nsenter", f"--target={self._first()}", "--mount", "--pid", "--cgroup"]
        done = subprocess.run(
            [*enter, "systemctl", *words], check=False, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def _first(self) -> int:
        """Process 1: the child of unshare."""
        found: list[int] = []

        def forked() -> bool:
            assert self._process.poll() is None, self._process.communicate()[0]
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            found[:] = map(int, children.read_text().split())
            return found != []

        until(forked)
        return found[0]

    def show(self, name: str) -> str:
        """One property of the unit."""
        return self.control("show", f"--property={name}", "--value", NAME).strip()

    def until_active(self) -> None:
        try:
            until(lambda: self.show("ActiveState") == "active", 40)
        except AssertionError:
            said = self.log.read_text() if self.log.exists() else ""
            raise AssertionError(self.control("status", "--no-pager", NAME) + said) from None


def _home() -> str:
    """ProtectHome= hides an interpreter that lies in a home, PrivateTmp= a checkout that lies in /tmp."""
    base = Path(sys.base_prefix).resolve()
    lines = f"BindReadOnlyPaths={ROOT}\n" if ROOT.is_relative_to("/tmp") else ""
    hidden = any(base.is_relative_to(home) for home in ("/root", "/home"))
    return lines + (f"ProtectHome=tmpfs\nBindReadOnlyPaths={base}\n" if hidden else "")
