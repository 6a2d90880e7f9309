"""JSON is read as Python's own `json` reads it, errors included."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.http import json_body
from gateway.http.json_body import JsonRoute, parse_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_python_wrote_comes_back(value: Any, ensure_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ensure_ascii).encode(errors="surrogatepass")
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"a":',
        b'{"a":1} x',
        b"[1,]",
        b'{"a":01}',
        b'{"a":"\x01"}',
        b'"\xff"',
        b'{"a":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":1,"a":2}',
        b"[NaN,-Infinity,1e999]",
        b"[" * 300 + b"]" * 300,
        b"[" * 100_000,
        b"1" * 5000,
    ],
    ids=lambda body: repr(body[:16]),
)
def test_odd_bodies_are_taken_and_refused_alike(body: bytes) -> None:
    assert _outcome(parse_json, body) == _outcome(json.loads, body)


def _outcome(parse: Any, body: bytes) -> str:
    try:
        return repr(parse(body))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


class Picture(BaseModel):
    image: str


router = APIRouter(route_class=JsonRoute)


@router.post("/length")
async def length(picture: Picture) -> int:
    return len(picture.image)


async def test_fastapis_own_bodies_are_read_so(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counting(body: bytes) -> Any:
        seen.append(len(body))
        return parse_json(body)

    monkeypatch.setattr(json_body, "parse_json", counting)
    app = FastAPI()
    app.include_router(router)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.post("/length", json={"image": "x" * 10_000})
        assert answer.json() == 10_000
        kind = {"Content-Type": "application/json"}
        assert (await http.post("/length", content=b"{", headers=kind)).status_code == 422
    assert len(seen) == 2
