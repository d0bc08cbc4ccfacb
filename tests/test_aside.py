"""How the whole suite is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import aside

_ONCE = """
from pathlib import Path

def test_late():
    first = Path(__file__).with_suffix(".first")
    there = first.exists()
    first.touch()
    assert there, "too late"
"""
_NEVER = "def test_broken():\n    assert False, 'at all times'\n"
_GOOD = "def test_good():\n    pass\n"


def suite(folder: Path, files: dict[str, str]) -> tuple[int, str]:
    """pytest's exit code and output, of a project with these tests and a good one in each folder."""
    tests = folder / "tests"
    for name in aside.FOLDERS:
        files.setdefault(f"{name}/test_{name}.py", _GOOD)
    for name, text in files.items():
        (tests / name).parent.mkdir(parents=True, exist_ok=True)
        (tests / name).write_text(text)
    (tests / "conftest.py").write_text("pytest_plugins = ['aside']\n")
    (tests / "aside.py").write_text(Path(aside.__file__).read_text())
    (folder / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\ntestpaths = ['tests']\npythonpath = ['tests']\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("where", ["test_first.py", "web/test_first.py"])
def test_what_failed_once_is_told(tmp_path: Path, where: str) -> None:
    """A test that fails the first time and not the second has passed, and the summary says what happened."""
    status, said = suite(tmp_path, {where: _ONCE})
    assert status == 0, said
    assert f"failed the first time: tests/{where}::test_late (call)" in said
    assert "AssertionError: too late" in said
    assert f"{len(aside.FOLDERS) + 1} passed, 1 rerun" in said, said


@pytest.mark.parametrize("where", ["test_first.py", "web/test_first.py"])
def test_what_fails_twice_has_failed(tmp_path: Path, where: str) -> None:
    """The second time is the last: nothing that is broken passes, in either of the two processes."""
    status, said = suite(tmp_path, {where: _NEVER})
    assert status == 1, said
    assert f"FAILED tests/{where}::test_broken" in said
    assert f"1 failed, {len(aside.FOLDERS)} passed, 1 rerun" in said


def test_many_failures_are_told_at_once(tmp_path: Path) -> None:
    """Where much is broken nothing is run again."""
    status, said = suite(tmp_path, {f"test_{number}.py": _NEVER for number in range(7)})
    assert status == 1
    assert f"7 failed, {len(aside.FOLDERS)} passed" in said
    assert "rerun" not in said
