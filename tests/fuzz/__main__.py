"""`python -m tests.fuzz [TARGET] [SECONDS]`: a target for some time, or each for as long; both have defaults.

An input that raises, takes longer than a second, or needs much memory ends it with status 1, and is kept in
.cache/fuzz. So is what has turned out to be of interest, for the next run to go on from.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import atheris

from tests.fuzz import CORPUS, targets

_SECONDS = 60
#: Then another process goes on: atheris keeps some memory of each comparison of arrays for ever.
_PROCESS_SECONDS = 60
#: Of one input: its time in seconds, its size, and the memory of the whole process in MB.
_LIMITS = ("-timeout=1", "-max_len=4096", "-rss_limit_mb=1024")
_CACHE = Path(".cache/fuzz")


def _fuzz(target: str, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    with atheris.instrument_imports(include=["exporter"]):
        module = importlib.import_module(f"tests.fuzz.targets.{target}")
    found = _CACHE / target
    found.mkdir(parents=True, exist_ok=True)
    folders = [str(found), str(CORPUS / target)]
    prefix = f"-artifact_prefix={_CACHE}/{target}-"
    atheris.Setup([sys.argv[0], *_LIMITS, prefix, f"-max_total_time={seconds}", *folders], module.fuzz)
    atheris.Fuzz()


def main() -> int:
    names = [word for word in sys.argv[1:] if not word.isdecimal()] or targets()
    seconds = next((int(word) for word in sys.argv[1:] if word.isdecimal()), _SECONDS)
    if unknown := set(names) - set(targets()):
        print(f"no such target: {', '.join(sorted(unknown))}; one of {', '.join(targets())}", file=sys.stderr)
        return 2
    if len(names) == 1 and seconds <= _PROCESS_SECONDS:
        _fuzz(names[0], seconds)
    # A process each, for libFuzzer has one target in one process.
    held = [_last(name, seconds) for name in names]
    return int(not all(held))


def _last(target: str, seconds: int) -> bool:
    """Whether the target has held for so long, in one process after another."""
    for start in range(0, seconds, _PROCESS_SECONDS):
        some = str(min(_PROCESS_SECONDS, seconds - start))
        if subprocess.run([sys.executable, "-m", "tests.fuzz", target, some], check=False).returncode:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
