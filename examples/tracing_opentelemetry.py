"""Trace the requests of a program with OpenTelemetry.

    python examples/tracing_opentelemetry.py [URL]

Needs `opentelemetry-sdk`.  Without arguments it reads the sample site.
"""

import sys
import time
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from staticstore import StaticStore, request_finished, serve

SAMPLE_SITE = Path(__file__).parent.parent / "sample_site"


def trace_requests(tracer: Tracer) -> None:
    """Make a span of each request, below the current span of the thread that reads."""

    def note(store: StaticStore | None, **request: Any) -> None:
        error, status, end = request["error"], request["status"], time.time_ns()
        attributes = {
            "http.request.method": request["method"],
            "url.full": request["url"],
            "http.response.status_code": status,
            "http.response.body.size": request["bytes"],
            "http.request.resend_count": request["attempt"] - 1 or None,
            "error.type": error and (str(status) if status else type(error).__qualname__),
        }
        span = tracer.start_span(
            request["method"],
            kind=SpanKind.CLIENT,
            attributes={name: value for name, value in attributes.items() if value is not None},
            start_time=end - int(request["seconds"] * 1e9),
        )
        if error is not None:
            span.set_status(StatusCode.ERROR, str(error))
        span.end(end)

    request_finished.connect(note, weak=False)


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace_requests(provider.get_tracer("staticstore"))
    with serve(SAMPLE_SITE, port=0) as server, StaticStore(*sys.argv[1:] or [server.url]) as store:
        store.to_bytes(next(iter(store)))
