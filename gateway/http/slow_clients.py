"""Refuses bodies that come at a crawl."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.body_limit import has_body

_PIECE_BYTES = 65_536


class SlowBodyMiddleware:
    """Gives a body `pause_s` seconds for each 64 KiB and a first one, then answers 408."""

    def __init__(self, app: ASGIApp, *, pause_s: float) -> None:
        self._app = app
        self._pause_s = pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but a body that comes too slowly."""
        if scope["type"] != "http" or not has_body(scope):
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        waited, received, complete = 0.0, 0, False

        async def timed() -> Message:
            nonlocal waited, received, complete
            if complete:
                return await receive()
            allowed = self._pause_s * (1 + received // _PIECE_BYTES)
            began = loop.time()
            try:
                async with asyncio.timeout(allowed - waited):
                    message = await receive()
            except TimeoutError:
                detail = f"the body comes too slowly: {received} bytes in {allowed:g} s"
                raise HTTPException(408, detail, {"Connection": "close"}) from None
            waited += loop.time() - began
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, timed, send)
