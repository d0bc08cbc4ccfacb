"""Faults of the machine that the exporter runs on: it stands still, its disk is full, nothing can be opened."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from exporter.state import snapshot
from tests.faults.causes import full_disk, no_descriptors, stopped
from tests.faults.patient import CHANGES, DEVICES, Patient, losses
from tests.serving import until

FAILURES = "ward_snapshot_failures_total"
SAVED = "ward_snapshot_last_success_timestamp_seconds"


def test_stopped_for_a_while(patient: Patient) -> None:
    """Nothing is lost and no verdict changes while there is no process to read; what began meanwhile is seen."""
    before = patient.page()
    with stopped(patient.pid):
        time.sleep(1)
        patient.net.cut(DEVICES["d5"])
        time.sleep(1)
    page = patient.serving.until_page(lambda page: page.value("ward_device_up", "d5") == 0)
    assert page.value("ward_probe_cycles_skipped_total") >= before.value("ward_probe_cycles_skipped_total") + 5
    assert page.value("ward_probe_void_total") > before.value("ward_probe_void_total")
    patient.net.restore(DEVICES["d5"])
    after = patient.later(patient.until_well(), 3)
    assert {**losses(after), "d5": 0} == {**losses(before), "d5": 0}
    changes = {**before.devices(CHANGES), "d5": before.value(CHANGES, "d5") + 2}
    assert after.devices(CHANGES) == changes
    assert patient.serving.ask("/-/healthy").status == 200


def test_a_full_disk(patient: Patient) -> None:
    """Saves fail, and are counted, and told once; the last whole state stays; probing goes on; with room again it
    saves by itself."""
    before = patient.serving.until_page(lambda page: page.value(SAVED) > 0)
    storage = patient.mounts.seen(patient.serving.storage)
    with full_disk(storage):
        patient.serving.until_page(lambda page: page.value(FAILURES) >= before.value(FAILURES) + 2)
        state = snapshot.load(storage)
        assert state is not None
        assert state.saved >= before.value(SAVED) - 5
        page = patient.later(patient.page(), 3)
        assert losses(page) == losses(before)
    full = patient.page()
    patient.serving.until_page(lambda page: page.value(SAVED) > full.value(SAVED))
    log = patient.serving.log.read_text()
    assert log.count("No space left on device") == 1
    assert "the state is saved again" in log


def test_no_file_descriptor_left(patient: Patient) -> None:
    """Probing goes on; a scraper waits, and has its answer when there is one again; saves and reloads that failed
    work again; the log tells it in a few lines, however long it lasts."""
    before = patient.page()
    requests = patient.net.truth(DEVICES["d1"]).requests
    lines = patient.serving.log.read_text().count("\n")
    with ThreadPoolExecutor(1) as scraper:
        with no_descriptors(patient.pid):
            waiting = scraper.submit(patient.serving.ask, "/metrics", timeout=60.0)
            until(lambda: patient.net.truth(DEVICES["d1"]).requests >= requests + 8)
            assert not waiting.done()
        assert waiting.result().status == 200
    page = patient.page()
    assert page.value(FAILURES) > before.value(FAILURES)
    assert losses(page) == losses(before)
    assert page.devices(CHANGES) == before.devices(CHANGES)
    assert patient.serving.reload().status == 200
    patient.serving.until_page(lambda later: later.value(SAVED) > page.value(SAVED))
    said = patient.serving.log.read_text().splitlines()[lines:]
    assert len([line for line in said if "connections have to wait" in line]) == 1
    assert len(said) < 10
