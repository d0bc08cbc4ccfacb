"""Coverage-guided fuzzing of whatever reads bytes that others have written: `make fuzz`, by atheris.

Each file in `targets` is one target: `fuzz(data)` may raise nothing. What is worth to start from is in
`corpus`, a folder for each; the suite runs all of it through its target.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"


def targets() -> list[str]:
    """The names of all targets."""
    return sorted(path.stem for path in (FOLDER / "targets").glob("[a-z]*.py"))
