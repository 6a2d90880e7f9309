"""HTTP/1.1 that drops clients who send or read at a crawl, and bounds what it keeps for them.

uvicorn's protocol has no such deadlines, and llhttp, its parser, keeps a line until it has ended.
"""

from __future__ import annotations

import asyncio
from array import array
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

_LINE_EXTRA = len(": \r\n")
_MOST_PIPELINED = 16


class _RefusedError(Exception):
    """Ends the parsing; goes no further than the parser."""


class _Parser(httptools.HttpRequestParser):
    """Passes over an offered upgrade; llhttp would take the body for the other protocol.

    Java's client offers one with every first request.
    """

    def __init__(self, protocol: GuardedProtocol) -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets its own
        self._protocol = protocol

    def feed_data(self, data: bytes | bytearray | memoryview | array[int]) -> None:
        """Parse; what has an offer in it once more without."""
        while data:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._protocol.head_without_offer() + data[offer.args[0] :]
            else:
                return


class GuardedProtocol(HttpToolsProtocol):
    """A connection with deadlines for headers, for a body nobody wants, and for reading."""

    header_timeout_s = 15.0
    write_stall_s = 60.0
    max_header_bytes = 32 * 1024
    _in_body = False
    _offers_upgrade = False
    _header_bytes = 0
    """Of the request that is read, trailers included."""
    _held_bytes = 0
    """Fed to the parser since it last handed something over."""
    _read_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parser = _Parser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect headers at once."""
        super().connection_made(transport)
        self._expect(self.header_timeout_s)

    def data_received(self, data: bytes) -> None:
        """Take data in; the deadline runs from the first byte of a request to its last header."""
        self._held_bytes += len(data)
        super().data_received(data)
        if self._held_bytes > self.max_header_bytes and not self.transport.is_closing():
            self.send_400_response("")
        if self._is_answering() or self.transport.is_closing():
            self._stop_read_timer()
        else:
            self._expect(self.write_stall_s if self._in_body else self.header_timeout_s)

    def on_message_begin(self) -> None:
        """The first byte of a request is there."""
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise _RefusedError
        super().on_message_begin()
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is whole; a trailer behind a body is none."""
        self._count_header(len(name) + len(value) + _LINE_EXTRA)
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request can be answered, unless it has to be read once more."""
        self._held_bytes = 0
        hosts = [value for name, value in self.headers if name == b"host"]
        is_named = len(hosts) == 1 or (not hosts and self.parser.get_http_version() == "1.0")
        if not is_named or self.parser.get_method() == b"CONNECT":
            raise _RefusedError
        self._offers_upgrade = self.parser.should_upgrade()
        if not self._offers_upgrade:
            self._in_body = True
            super().on_headers_complete()

    def head_without_offer(self) -> bytes:
        """The request line and headers that were just read, but for an offered upgrade."""
        line = b"%s %s HTTP/1.1\r\n" % (self.parser.get_method(), self.url)
        kept = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return line + b"".join(kept) + b"\r\n"

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._held_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request is there."""
        self._held_bytes = 0
        self._in_body = False
        if not self._offers_upgrade:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or too much of one; never in the middle of another answer."""
        if self._is_answering() and (self.cycle.response_started or self.pipeline):
            self.transport.abort()
            return
        if self._is_answering():  # what was begun hears that the client is gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if max(self._header_bytes, self._held_bytes) > self.max_header_bytes:
            words = b"The headers are over the limit of %d bytes.\n" % self.max_header_bytes
            head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            length = b"content-length: %d\r\n\r\n" % len(words)
            self.transport.write(STATUS_LINE[431] + head + length + words)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Between two requests uvicorn's own keep-alive deadline runs."""
        super().on_response_complete()
        self._stop_read_timer()

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
        self._stop_read_timer()
        self._stop_write_timer()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _count_header(self, length: int) -> None:
        self._held_bytes = 0
        self._header_bytes += length
        if self._header_bytes > self.max_header_bytes:
            raise _RefusedError

    def _expect(self, seconds: float) -> None:
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
