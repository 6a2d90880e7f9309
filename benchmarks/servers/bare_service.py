"""Answers polls and streams with the same bytes again and again: what a crowd costs by itself.

Nothing is parsed and nothing is looked up, so that what is left is the crowd's own work and the
kernel's.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.process.event_loop import new_event_loop
from gateway.triton.loopback_ports import LOOPBACK, free_ports

_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: still here\n\n"


@contextmanager
def bare_service(answer: bytes) -> Iterator[str]:
    """Its URL, for as long as the context is open; `answer` is what a poll gets."""
    port = free_ports(1)[0]
    spawn = multiprocessing.get_context("spawn")
    is_up = spawn.Event()
    process = spawn.Process(target=_serve, args=(port, answer, is_up), daemon=True)
    process.start()
    try:
        if not is_up.wait(30):
            raise RuntimeError("The bare service did not start in 30 s.")
        yield f"http://{LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.join(10)


def _serve(port: int, answer: bytes, is_up: multiprocessing.synchronize.Event) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Echo(answer), LOOPBACK, port, backlog=1024)
        is_up.set()
        await server.serve_forever()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve())


class _Echo(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        is_stream = b"/events " in data
        self._transport.write(_STREAM if is_stream else self._answer)
