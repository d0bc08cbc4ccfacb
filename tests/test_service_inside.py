"""The service's own decisions that no outsider can bring about: a loop that hangs, a swap that comes too late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import service as service_module
from exporter.errors import WardError
from exporter.service import Service
from tests.serving import FAST


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Built, with its sockets open, and its loop not started."""
    (tmp_path / "ward.yml").write_text(f"{FAST}inventory: [{{file: devices.yml}}]\n")
    (tmp_path / "devices.yml").write_text("devices: [{name: a, address: 127.0.0.1}]\n")
    found = Service(tmp_path / "ward.yml", "127.0.0.1:0", tmp_path / "data")
    yield found
    found._prober.stop()
    found._socket.close()


def test_a_swap_that_comes_too_late(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the loop does not answer, the reload fails, and is not done behind everyone's back when it does."""
    monkeypatch.setattr(service_module, "_CALL_TIMEOUT", 0.05)
    before, loaded_at = service._running, service._itself.reloaded_at
    (tmp_path / "ward.yml").write_text("probe: {interval: 7s}\ninventory: [{file: devices.yml}]\n")
    with pytest.raises(WardError, match="the probe loop does not answer"):
        service._reload(None)
    assert not service._itself.reload_successful
    service._prober.start()
    assert service._prober.call(lambda: 7).result(10) == 7
    assert service._running is before
    assert (service._itself.reloaded_at, service._itself.interval) == (loaded_at, 0.2)
    monkeypatch.setattr(service_module, "_CALL_TIMEOUT", 10)
    service._reload(None)
    assert service._itself.reload_successful
    assert service._itself.interval == 7
    assert service._running is not before


def test_a_refresh_that_a_reload_has_overtaken(service: Service) -> None:
    """A refresh of sources that are no longer those that run does nothing."""
    service._prober.start()
    former = service._running.sources
    service._reload(None)
    after = service._running
    service._reload(former)
    assert service._running is after


def test_a_loop_that_hangs_is_unhealthy(service: Service) -> None:
    """Health is a loop that has turned within 5 s, and has not failed; readiness needs both and a sweep."""
    assert service.unhealthy() == ""
    assert service.unready() == "the first sweep is under way"
    service._prober.heartbeat = time.monotonic() - 6
    assert service.unhealthy() == service.unready() == "the probe loop stands for 6 s"
    service._prober.heartbeat = time.monotonic()
    service._prober.failure = OSError("no more memory")
    assert service.unhealthy() == service.unready() == "the probe loop has failed: no more memory"


def test_a_restored_state_is_evaluated_before_it_is_shown(service: Service, tmp_path: Path) -> None:
    """Flaps that have grown stale while the exporter was away show on no page."""
    service._running.verdicts.columns.flapping[0] = True
    service._running.verdicts.flaps[0] = deque([time.monotonic_ns() - 400 * 1_000_000_000])
    service._saver.stop(service._running.verdicts)
    again = Service(tmp_path / "ward.yml", "127.0.0.1:0", tmp_path / "data")
    try:
        assert not again.verdicts.columns.flapping[0]
    finally:
        again._prober.stop()
        again._socket.close()
