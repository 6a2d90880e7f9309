from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message

from gateway.http.picture_response import PictureResponse


async def sent(response: PictureResponse) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody asked for the body")

    await response({"type": "http"}, receive, send)
    return messages


@pytest.mark.parametrize("size", [0, 1, 2**18, 2**18 + 1, 3_000_000])
async def test_the_pieces_are_the_picture(size: int) -> None:
    picture = bytes(index % 251 for index in range(size))
    start, *pieces = await sent(PictureResponse(memoryview(picture), media_type="image/png"))
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-length"] == str(size).encode()
    assert b"".join(piece["body"] for piece in pieces) == picture
    assert max(len(piece["body"]) for piece in pieces) <= 2**18
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]


async def test_others_have_their_turn_between_pieces() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    _, *pieces = await sent(PictureResponse(bytes(2_000_000)))
    counting.cancel()
    assert turns >= len(pieces) - 1 > 5
