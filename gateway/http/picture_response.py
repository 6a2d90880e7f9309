"""A picture's bytes as an answer, a piece at a time."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_PIECE_BYTES = 256 * 1024


class PictureResponse(Response):
    """Sends a body in pieces, each when the one before has left and others had their turn.

    In one piece it is copied twice for the socket's buffer on the event loop's thread: 20 MB kept
    everyone else waiting for 4 to 15 ms. Piece upon piece into a socket with room for them still
    did for 2 to 6 ms.
    """

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        whole = memoryview(self.body)
        for begin in range(0, max(1, len(whole)), _PIECE_BYTES):
            piece = whole[begin : begin + _PIECE_BYTES]
            more = begin + _PIECE_BYTES < len(whole)
            await send({"type": "http.response.body", "body": piece, "more_body": more})
            if more:
                await asyncio.sleep(0)
        if self.background is not None:
            await self.background()
