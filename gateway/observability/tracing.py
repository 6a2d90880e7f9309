"""OpenTelemetry: spans from HTTP through the job into Triton, sent to an OTLP collector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracerProvider, SpanKind
from opentelemetry.trace import TracerProvider as AnyTracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.jobs.job import Job

_PROPAGATOR = TraceContextTextMapPropagator()
TRACEPARENT = "traceparent"


class Tracing:
    """Makes spans, when there is somewhere to send them."""

    def __init__(self, otlp_endpoint: str | None) -> None:
        self.provider: AnyTracerProvider = NoOpTracerProvider()
        self._sdk: TracerProvider | None = None
        if otlp_endpoint is not None:
            self._sdk = TracerProvider(resource=Resource.create({"service.name": "retouch"}))
            exporter = OTLPSpanExporter(f"{otlp_endpoint.rstrip('/')}/v1/traces")
            self._sdk.add_span_processor(BatchSpanProcessor(exporter))
            self.provider = self._sdk
        self._tracer = self.provider.get_tracer("retouch")

    @property
    def is_on(self) -> bool:
        """Whether spans go anywhere."""
        return self._sdk is not None

    @contextmanager
    def job_span(self, job: Job) -> Iterator[None]:
        """A span for a job, under the request that submitted it, whoever runs it and when."""
        parent = _PROPAGATOR.extract(dict(job.metadata))
        attributes = {
            "retouch.job.id": job.id,
            "retouch.task": job.task,
            "retouch.model": job.model,
        }
        with self._tracer.start_as_current_span(
            f"job {job.task}", context=parent, kind=SpanKind.CONSUMER, attributes=attributes
        ):
            yield

    def close(self) -> None:
        """Send what has not been sent; blocks."""
        if self._sdk is not None:
            self._sdk.shutdown()


def trace_headers() -> dict[str, str]:
    """`traceparent` of the running span, for what is called from here; empty without a span."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier
