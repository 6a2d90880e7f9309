"""Lets requests in by their key."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ForbiddenError, InvalidKeyError, RetouchError
from gateway.http import problem
from gateway.keys.api_key import ApiKey, KeyScope
from gateway.keys.key_ring import KeyRing
from gateway.keys.owner import current_owner
from gateway.keys.rate_limits import RateLimits
from gateway.playground.pages import is_playground
from gateway.reference.page import is_reference

_PUBLIC = ("/health/live", "/health/ready", "/openapi.json", "/api/health", "/api/system/health")
_ADMIN_SUFFIXES = ("/load", "/unload")
FRONT_END_OWNER = "front-end"


class AuthenticationMiddleware:
    """Checks the key, counts the request, and says whose it is; plain ASGI."""

    def __init__(
        self, app: ASGIApp, *, ring: KeyRing, limits: RateLimits, front_end_without_key: bool
    ) -> None:
        self._app = app
        self._ring = ring
        self._limits = limits
        self._front_end_without_key = front_end_without_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = await self._admit(scope)
        except RetouchError as error:
            response = await problem.retouch_error(Request(scope, receive), error)
            await response(scope, receive, send)
            return
        if not headers:
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, counted)

    async def _admit(self, scope: Scope) -> Mapping[str, str]:
        """Set the owner of what follows; headers for the answer."""
        state = scope.setdefault("state", {})
        state["key"] = None
        current_owner.set("")
        path = scope["path"]
        if _is_public(path) or not await self._ring.required():
            return {}
        text = _presented(Headers(scope=scope))
        if not text and self._front_end_without_key and path.startswith("/api/"):
            current_owner.set(FRONT_END_OWNER)
            return {}
        key = await self._checked(text, scope)
        if _is_administration(path) and key.scope is not KeyScope.ADMIN:
            raise ForbiddenError("This needs a key with the scope admin.")
        state["key"] = key
        current_owner.set(key.id)
        return await self._limits.count_request(key)

    async def _checked(self, text: str, scope: Scope) -> ApiKey:
        if not text:
            raise InvalidKeyError("Send an API key: Authorization: Bearer rt_... .")
        try:
            return await self._ring.check(text)
        except InvalidKeyError:
            address = (scope.get("client") or ("unknown", 0))[0]
            await self._limits.count_failed_check(address)
            raise


def _presented(headers: Headers) -> str:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _is_public(path: str) -> bool:
    return path in _PUBLIC or is_playground(path) or is_reference(path)


def _is_administration(path: str) -> bool:
    return path == "/metrics" or (path.startswith("/v1/models/") and path.endswith(_ADMIN_SUFFIXES))
