"""What fuzzing starts from, and what it has found before."""

from __future__ import annotations

import importlib

import pytest

from tests.fuzz import CORPUS, targets


@pytest.mark.parametrize("target", targets())
def test_every_input_of_the_corpus_is_harmless(target: str) -> None:
    """Each target reads all of its corpus without an error, and there is something to read."""
    fuzz = importlib.import_module(f"tests.fuzz.targets.{target}").fuzz
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs
    for one in inputs:
        fuzz(one.read_bytes())


def test_every_corpus_has_its_target() -> None:
    """No folder is left of a target that is gone."""
    assert sorted(path.name for path in CORPUS.iterdir()) == targets()
