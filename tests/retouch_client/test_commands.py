"""`retouch generate` and `retouch mask` against a real gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

from typer.testing import CliRunner

from gateway.cli import app
from tests.gateway.conftest import Gateway
from tests.odd_pictures import photo

PNG = b"\x89PNG"


async def run(*arguments: str, status: int = 0) -> str:
    done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    assert done.exit_code == status, done.output
    return done.output


async def test_generate_saves_a_picture(served: tuple[Gateway, str], tmp_path: Path) -> None:
    out = tmp_path / "cat.png"
    await run("generate", "a cat", "-o", str(out), "--steps", "2", "--url", served[1])
    assert out.read_bytes().startswith(PNG)


async def test_mask_saves_a_mask(served: tuple[Gateway, str], tmp_path: Path) -> None:
    picture, out = tmp_path / "photo.png", tmp_path / "mask.png"
    picture.write_bytes(photo())
    said = await run("mask", str(picture), "--at", "100,80", "-o", str(out), "--url", served[1])
    assert out.read_bytes().startswith(PNG)
    assert "1 found" in said
    await run("mask", str(picture), "--box", "60,40,140,120", "-o", str(out), "--url", served[1])


async def test_what_fails_is_a_sentence(served: tuple[Gateway, str], tmp_path: Path) -> None:
    out = str(tmp_path / "x.png")
    said = await run("generate", "", "-o", out, "--url", served[1], status=1)
    assert "needs a prompt" in said
    said = await run("generate", "x", "-o", out, "--url", "http://127.0.0.1:1", status=1)
    assert "No gateway answers" in said
