"""What stands between the network and the routes: keys, limits, metrics, traces, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from gateway.errors import RetouchError
from gateway.http import problem
from gateway.http.answer_head import AnswerHeadMiddleware
from gateway.http.body_limit import BodyLimitMiddleware
from gateway.http.cross_origin import CrossOriginMiddleware
from gateway.http.request_id import RequestIdMiddleware
from gateway.http.slow_clients import SlowBodyMiddleware
from gateway.keys.authentication import AuthenticationMiddleware
from gateway.keys.key_ring import KeyRing
from gateway.keys.key_store import KeyStore
from gateway.keys.rate_limits import RateLimits
from gateway.keys.setup import key_store, keys_required
from gateway.observability.metrics import GatewayMetrics
from gateway.observability.requests import RequestWatchMiddleware
from gateway.observability.tracing import Tracing
from gateway.settings import Settings

EXPOSED_HEADERS = (
    "Location",
    "Preference-Applied",
    "Retry-After",
    "Server-Timing",
    "WWW-Authenticate",
    "X-Request-Id",
)


@dataclass(frozen=True)
class Edge:
    """What middleware and use cases share; lives as long as the app."""

    keys: KeyStore
    limits: RateLimits
    metrics: GatewayMetrics
    tracing: Tracing

    @classmethod
    def of(cls, settings: Settings) -> Edge:
        """As the settings say."""
        keys = key_store(settings)
        return cls(
            keys=keys,
            limits=RateLimits.of(settings.rate_limit_storage, keys),
            metrics=GatewayMetrics(),
            tracing=Tracing(settings.otlp_endpoint),
        )

    def guard(
        self, app: FastAPI, settings: Settings, *shortcuts: Callable[[ASGIApp], ASGIApp]
    ) -> None:
        """Add middleware, innermost first: CORS headers go on faults of ours too.

        `shortcuts`: middleware that answers some requests itself, and reads no body.
        """
        app.add_middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes)
        app.add_middleware(SlowBodyMiddleware, pause_s=settings.body_pause_s)
        for shortcut in shortcuts:
            app.add_middleware(shortcut)
        app.add_middleware(
            AuthenticationMiddleware,
            ring=KeyRing(self.keys, always_required=keys_required(settings)),
            limits=self.limits,
            front_end_without_key=settings.front_end_without_key,
        )
        app.add_middleware(RequestWatchMiddleware, metrics=self.metrics)
        app.add_middleware(RequestIdMiddleware)
        app.add_middleware(
            CrossOriginMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=list(EXPOSED_HEADERS),
        )
        app.add_middleware(AnswerHeadMiddleware)
        _add_error_handlers(app)

    def close(self) -> None:
        """Let go of connections, send the last spans; blocks."""
        self.keys.close()
        self.tracing.close()


def _add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(RetouchError, problem.retouch_error)
    app.add_exception_handler(RequestValidationError, problem.validation_error)
    app.add_exception_handler(ValidationError, problem.validation_error)
    app.add_exception_handler(HTTPException, problem.http_error)
    app.add_exception_handler(ClientDisconnect, problem.client_gone)
    app.add_exception_handler(Exception, problem.unexpected_error)
