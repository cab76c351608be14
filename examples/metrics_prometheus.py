"""Count the requests of a program for Prometheus, and measure how long they take.

    python examples/metrics_prometheus.py [URL]

Needs `prometheus-client`.  Without arguments it reads the sample site.
"""

import sys
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest

from staticstore import StaticStore, request_finished, serve

SAMPLE_SITE = Path(__file__).parent.parent / "sample_site"


def count_requests(registry: CollectorRegistry = REGISTRY) -> None:
    """Count the requests of all stores, by method and status: few labels, and no URL."""
    labels = ["method", "status"]
    received = Counter("staticstore_received_bytes", "Bodies", labels, registry=registry)
    seconds = Histogram("staticstore_request_seconds", "Requests", labels, registry=registry)

    def note(store: StaticStore | None, **request: Any) -> None:
        values = request["method"], str(request["status"] or "no answer")
        received.labels(*values).inc(request["bytes"])
        seconds.labels(*values).observe(request["seconds"])

    request_finished.connect(note, weak=False)


if __name__ == "__main__":
    count_requests()
    with serve(SAMPLE_SITE, port=0) as server, StaticStore(*sys.argv[1:] or [server.url]) as store:
        store.to_bytes(next(iter(store)))
        print(generate_latest().decode())  # or prometheus_client.start_http_server(8001)
