"""`make preview`: the dashboards drawn over a small bank in a simulated network where much goes wrong."""

from __future__ import annotations

import time

from dashboards.preview.__main__ import FOLDER, preview
from dashboards.preview.filling import Span, Values
from tests.dashboards import network
from tests.dashboards.stores import NEWEST, scraped, stores
from tests.simnet import Simnet

_CALM_SECONDS, _TROUBLE_SECONDS = 45.0, 300.0
CHOSEN: dict[str, Values] = {
    "ward-device": {"device": network.FLAPPING},
    "ward-site": {"site": "tbilisi-01"},
}


def main() -> None:
    with Simnet() as net, network.bank(net) as bank, stores(net, [NEWEST]) as running:
        scraped(running.values())
        time.sleep(_CALM_SECONDS)
        bank.trouble()
        time.sleep(_TROUBLE_SECONDS)
        store = running[f"victoria-metrics-{NEWEST.name}"]
        span = Span(time.time() - _CALM_SECONDS - _TROUBLE_SECONDS, time.time())
        for path in preview(lambda path: store.get(path)[2], FOLDER, span, CHOSEN):
            print(path)


if __name__ == "__main__":
    main()
