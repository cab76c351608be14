"""The examples of metrics and traces, held against their libraries' own exporters."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import HTTPStatusError, StaticStore, request_finished
from tests.servers import RawServer, serve_files
from tests.sites import index_of

EXAMPLES = Path(__file__).parents[2] / "examples"
SITE = serve_files({"index.json": index_of({"a": b"abc", "b": b"b"}), "data/a": b"abc"})


@pytest.fixture
def example() -> Iterator[Callable[[str], dict[str, Any]]]:
    """Return the names of an example; what it connects is disconnected at the end."""
    before = set(request_finished.receivers)

    def names(script: str) -> dict[str, Any]:
        return runpy.run_path(str(EXAMPLES / script))

    yield names
    for one in set(request_finished.receivers) - before:
        request_finished.disconnect(request_finished.receivers[one])


def read_some() -> str:
    """Read a value, and another that is not there; return the root."""
    with RawServer(SITE) as server, StaticStore(server.url, poll_interval=0) as store:
        assert store.to_bytes("a") == b"abc"
        with pytest.raises(HTTPStatusError):
            store.to_bytes("b")
        return server.url


def test_prometheus_counts_requests_and_bytes(
    example: Callable[[str], dict[str, Any]],
) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    registry = prometheus.CollectorRegistry()
    example("metrics_prometheus.py")["count_requests"](registry)
    read_some()
    found, missing = {"method": "GET", "status": "200"}, {"method": "GET", "status": "404"}
    size = len(index_of({"a": b"abc", "b": b"b"})) + 3
    assert registry.get_sample_value("staticstore_received_bytes_total", found) == size
    assert registry.get_sample_value("staticstore_request_seconds_count", found) == 2
    assert registry.get_sample_value("staticstore_request_seconds_count", missing) >= 2
    assert registry.get_sample_value("staticstore_request_seconds_sum", found) > 0


def test_opentelemetry_has_a_span_for_each_request(
    example: Callable[[str], dict[str, Any]],
) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    example("tracing_opentelemetry.py")["trace_requests"](tracer)
    with tracer.start_as_current_span("outer") as outer:
        root = read_some()
    spans = [span for span in exporter.get_finished_spans() if span.name == "GET"]
    right = next(span for span in spans if span.attributes["url.full"] == f"{root}data/a")
    wrong = next(span for span in spans if span.attributes["url.full"] == f"{root}data/b")
    assert dict(right.attributes) == {
        "http.request.method": "GET",
        "url.full": f"{root}data/a",
        "http.response.status_code": 200,
        "http.response.body.size": 3,
    }
    assert (right.kind.name, right.status.status_code.name) == ("CLIENT", "UNSET")
    assert (wrong.attributes["error.type"], wrong.status.status_code.name) == ("404", "ERROR")
    assert right.parent.span_id == outer.get_span_context().span_id
    assert right.start_time < right.end_time
