"""Headers that keep browsers from guessing, framing and caching."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLOSED = b"default-src 'none'; frame-ancestors 'none'; sandbox"
"""An answer of the API is never a page, whatever bytes somebody uploaded."""
_UNLESS_SAID = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", _CLOSED),
)


class SecurityHeadersMiddleware:
    """Adds what an answer does not say itself; pages bring a policy of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                added = [header for header in _UNLESS_SAID if header[0] not in said]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, secured)
