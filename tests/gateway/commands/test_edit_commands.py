"""`retouch edit`, `extract` and `white-balance` against a gateway on a socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.errors import DoesNotFitError
from preprocessing.codec import decode_image, encode_mask_png, encode_png
from tests.gateway.conftest import Gateway, serve_on_a_port
from tests.preprocessing.pictures import ASTRONAUT

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encode_png(ASTRONAUT))
    return path


@pytest.fixture
async def run(gateway: Gateway) -> AsyncIterator[Run]:
    """The command line in a thread, told where the gateway is."""
    async with serve_on_a_port(gateway) as client:
        url = str(client.base_url)

        async def command(*arguments: object) -> Result:
            words = [*(str(word) for word in arguments), "--url", url]
            return await asyncio.to_thread(CliRunner().invoke, app, words)

        yield command


def pixels(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes()).pixels


async def test_remove_at_a_point(run: Run, photo: Path, tmp_path: Path, gateway: Gateway) -> None:
    out = tmp_path / "out.png"
    done = await run("edit", photo, "--remove", "--at", "100,80", "--grow", 3, "-o", out)
    assert done.exit_code == 0, done.output
    changed = (pixels(out) != ASTRONAUT).any(axis=2)
    assert changed[80, 100]
    assert not changed[0].any()
    assert "outside the mask: equal" in done.output
    assert len(gateway.backend.painted[-1].images) == 3


async def test_the_bar_counts_the_steps(run: Run, photo: Path, tmp_path: Path) -> None:
    done = await run(
        "edit", photo, "--prompt", "make it blue", "--steps", 5, "-o", tmp_path / "o.png"
    )
    assert done.exit_code == 0, done.output
    assert "5/5" in done.output
    assert "succeeded" in done.output


async def test_insert_with_a_mask_file(
    run: Run, photo: Path, tmp_path: Path, gateway: Gateway
) -> None:
    mask = tmp_path / "mask.png"
    marked = np.zeros((160, 200), np.bool_)
    marked[20:60, 30:90] = True
    mask.write_bytes(encode_mask_png(marked))
    out = tmp_path / "out.jpg"
    done = await run("edit", photo, "--insert", photo, "--mask", mask, "--seed", 9, "-o", out)
    assert done.exit_code == 0, done.output
    assert decode_image(out.read_bytes()).header.format == "jpeg"
    assert gateway.backend.painted[-1].seed == 9


async def test_extract(run: Run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "object.png"
    done = await run("extract", photo, "--box", "50,30,150,130", "-o", out)
    assert done.exit_code == 0, done.output
    assert pixels(out).shape == (512, 512, 3)


async def test_white_balance_with_its_cube(run: Run, photo: Path, tmp_path: Path) -> None:
    out, cube = tmp_path / "out.png", tmp_path / "out.cube"
    done = await run(
        "white-balance", photo, "--temperature", 4000, "--tint", 5, "--cube", cube, "-o", out
    )
    assert done.exit_code == 0, done.output
    assert "light 4000 K, tint +5.0" in done.output
    assert pixels(out)[..., 2].mean() > ASTRONAUT[..., 2].mean()
    assert "LUT_3D_SIZE 33" in cube.read_text()


async def test_white_balance_by_the_model_is_a_job(run: Run, photo: Path, tmp_path: Path) -> None:
    done = await run("edit", photo, "--white-balance", "-o", tmp_path / "out.webp")
    assert done.exit_code == 0, done.output
    assert "does not show the photograph" in re.sub(r"\s+", " ", done.output)
    assert decode_image((tmp_path / "out.webp").read_bytes()).header.format == "webp"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--remove", "--at", "900,900"], "must lie in 0 <= x < 200"),
        (["--remove"], "Task remove needs mask"),
        (["--remove", "--inpaint"], "Choose one of --remove and --inpaint"),
        (["--remove", "--at", "1;2"], "--at needs 2 numbers with commas; got '1;2'"),
        (["--remove", "--at", "1,2", "--mask", "{photo}"], "not both"),
        (["--remove", "--at", "100,80", "-o", "out.gif"], "must end in one of .jpg"),
    ],
)
async def test_errors_are_sentences(
    run: Run, photo: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    words = [word.format(photo=photo) for word in arguments]
    out = [] if "-o" in words else ["-o", tmp_path / "out.png"]
    done = await run("edit", photo, *words, *out)
    assert done.exit_code in (1, 2)
    assert says in re.sub(r"[\s│]+", " ", done.output)
    assert "Traceback" not in done.output


async def test_a_failed_job_says_why(
    run: Run, photo: Path, tmp_path: Path, gateway: Gateway
) -> None:
    gateway.backend.failure = DoesNotFitError("It needs 90 GB.")
    done = await run("edit", photo, "--prompt", "x", "-o", tmp_path / "out.png")
    assert done.exit_code == 1
    assert "The job failed. It needs 90 GB." in re.sub(r"\s+", " ", done.output)


def test_no_gateway(photo: Path, tmp_path: Path) -> None:
    words = ["extract", str(photo), "--at", "1,1", "-o", str(tmp_path / "o.png")]
    done = CliRunner().invoke(app, [*words, "--url", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    assert "`retouch serve` starts one" in re.sub(r"\s+", " ", done.output)
