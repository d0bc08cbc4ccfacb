"""One exporter that meets fault after fault: its network, its disk, its clock and its DNS server are its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.patient import Patient


@pytest.fixture(scope="module")
def module_patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    with Patient(tmp_path_factory.mktemp("patient")) as patient:
        yield patient


@pytest.fixture
def patient(module_patient: Patient) -> Iterator[Patient]:
    """In good health, before and after."""
    module_patient.until_well()
    yield module_patient
    # What was lost in the test is told before the next one: its timeout is five of these.
    module_patient.later(module_patient.until_well(), 6)
    module_patient.assert_alive()
