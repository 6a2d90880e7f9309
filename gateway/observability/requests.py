"""Counts, times and logs every request; plain ASGI."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.answer_head import head_of
from gateway.observability.metrics import GatewayMetrics

logger = logging.getLogger("gateway.requests")
_QUIET = ("/health/live", "/health/ready", "/metrics")
_POLLED = ("/v1/jobs/{job_id}", "/api/generate/status/{task_id}")
"""Asked for once a second by whoever waits: told of at INFO only where the answer is an error."""


class RequestWatchMiddleware:
    """Goes inside the request's id: what it logs carries it."""

    def __init__(self, app: ASGIApp, *, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = head_of(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            self._done(scope, head.status or 500, time.perf_counter() - head.began)

    def _done(self, scope: Scope, status: int, seconds: float) -> None:
        # Paths have ids in them, without number; routes are few.
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.request_done(_method(scope), route, status, seconds)
        is_poll = route in _POLLED and scope["method"] == "GET" and status < 400
        level = logging.DEBUG if is_poll or scope["path"] in _QUIET else logging.INFO
        if not logger.isEnabledFor(level):
            return
        path = scope["path"][:200]
        words = "%s %s %d in %.1f ms"
        members = {
            "event": "request",
            "method": _method(scope),
            "route": route,
            "status": status,
            "duration_ms": round(1000 * seconds, 1),
        }
        logger.log(level, words, _method(scope), path, status, 1000 * seconds, extra=members)


def _method(scope: Scope) -> str:
    known = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS")
    return scope["method"] if scope["method"] in known else "OTHER"
