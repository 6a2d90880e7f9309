"""Drops clients that send or read at a crawl: uvicorn has no deadlines of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.settings import Settings

_PIECE_BYTES = 65_536


class SlowBodyMiddleware:
    """Gives a body `pause_s` seconds for each 64 KiB and a first one, then answers 408."""

    def __init__(self, app: ASGIApp, *, pause_s: float) -> None:
        self._app = app
        self._pause_s = pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but a body that comes too slowly."""
        if scope["type"] != "http":
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


def protection(settings: Settings) -> dict[str, Any]:
    """Options for `uvicorn.Config`: deadlines of headers and reading, and a cap on headers."""

    class _Guarded(GuardedProtocol):
        header_timeout_s = settings.header_timeout_s
        write_stall_s = settings.write_stall_s

    return {
        "http": _Guarded,
        "h11_max_incomplete_event_size": settings.max_header_bytes,
        "ws": "none",
        "access_log": False,
    }


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for headers and one for a client that reads nothing."""

    header_timeout_s = 15.0
    write_stall_s = 60.0
    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect headers at once."""
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Take data in; the deadline runs from the first byte of a request to its last header."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._expect_headers()
        else:
            self._stop_header_timer()

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._stop_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        super().connection_lost(exc)
        self._stop_header_timer()
        self._stop_write_timer()

    def on_response_complete(self) -> None:
        """Between two requests uvicorn's own keep-alive deadline runs."""
        super().on_response_complete()
        self._stop_header_timer()

    def _expect_headers(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_timeout_s, self.transport.abort)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
