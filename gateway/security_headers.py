"""Headers that keep browsers from guessing, framing and caching."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_CLOSED = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""An answer of the API is never a page, whatever bytes somebody uploaded."""


class SecurityHeadersMiddleware:
    """Adds what an answer does not say itself; pages bring a policy of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("Content-Security-Policy", _CLOSED)
            await send(message)

        await self._app(scope, receive, secured)
