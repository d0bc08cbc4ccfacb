"""`make stack`, as a person runs it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

from tests.serving import until

ROOT = Path(__file__).parents[2]


def test_it_starts_and_ends_as_a_whole() -> None:
    """Every address that it prints answers, the watchdog arrives in the alert log, and Ctrl-C ends all of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.stack"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    lines: list[str] = []

    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
    reader.start()
    try:
        until(lambda: any("What is notified" in line for line in lines), 60)
        urls = dict(re.findall(r"^(\S+) +(http\S+)$", "".join(lines), re.MULTILINE))
        assert urls.keys() == {"exporter", "victoriametrics", "vmalert", "alertmanager", "alert-log"}
        paths = {"exporter": "metrics", "victoriametrics": "targets", "vmalert": "api/v1/rules"}
        for name, url in urls.items():
            with urllib.request.urlopen(url + paths.get(name, "-/healthy"), timeout=10) as answer:
                assert answer.status == 200
        until(lambda: any("Watchdog" in line for line in lines), 90)
        (folder,) = re.findall(r"Samples are in (\S+) until", "".join(lines))
        assert Path(folder).is_dir()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not Path(folder).exists()
        for url in urls.values():
            assert refused(url)
    finally:
        process.kill()
        reader.join()
        process.communicate()


def refused(url: str) -> bool:
    """Whether nothing listens there any more."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError as error:
        return "refused" in str(error)
    return False
