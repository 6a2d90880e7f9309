"""Pictures too large for one pass of the VAE are worked on in overlapping tiles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qwen_serving.vae import Decoder, Encoder, tile_stride
from tests.model_repository.in_process import answers, load, request

SIDE = 64


@pytest.fixture(scope="module")
def folder(generation: Path, version_of: Any) -> Path:
    where: Path = version_of(generation / "vae")
    return where


def picture(height: int, width: int) -> np.ndarray:
    """Smooth, as pictures are and noise is not."""
    y, x = np.mgrid[0:height, 0:width] / 24
    channels = np.stack([np.sin(x), np.cos(y), np.sin(x + y)])
    return channels[None, :, None].astype(np.float32)


def run(model: Any, height: int, width: int) -> np.ndarray:
    if isinstance(model, Encoder):
        ask, output = request(IMAGE=picture(height, width)), "MOMENTS"
    else:
        rng = np.random.default_rng(height)
        code = rng.standard_normal((1, 16, 1, height // 8, width // 8), np.float32)
        ask, output = request(LATENTS=code), "IMAGE"
    (found,) = answers(model, [ask], output)
    return found


@pytest.mark.parametrize("half", [Encoder, Decoder])
@pytest.mark.parametrize(("height", "width"), [(32, 48), (SIDE, SIDE)])
def test_small_pictures_are_untouched(folder: Path, half: Any, height: int, width: int) -> None:
    tiled, whole = load(half(), folder, tiling_min_side=SIDE), load(half(), folder)
    never = load(half(), folder, tiling_min_side=0)
    assert np.array_equal(run(tiled, height, width), run(whole, height, width))
    assert np.array_equal(run(tiled, height, width), run(never, height, width))


@pytest.mark.parametrize(("half", "tolerance"), [(Encoder, 0.02), (Decoder, 0.04)])
@pytest.mark.parametrize(("height", "width"), [(192, 144), (272, 64)])
def test_a_large_picture_is_nearly_the_same(
    folder: Path, half: Any, tolerance: float, height: int, width: int
) -> None:
    """Random weights see far across a tile's edge; in a range of 2, little comes of it."""
    tiled, whole = load(half(), folder, tiling_min_side=2 * SIDE), load(half(), folder)
    found, expected = run(tiled, height, width), run(whole, height, width)
    assert found.shape == expected.shape
    assert 0 < np.abs(found - expected).mean() < tolerance


@given(side=st.integers(64, 256).map(lambda n: 8 * n), length=st.integers(1, 256))
def test_tiles_overlap_by_a_quarter_and_the_last_is_no_sliver(side: int, length: int) -> None:
    length *= 16
    stride = tile_stride(length, side)
    starts = range(0, length, stride)
    assert stride % 8 == 0
    if length <= side:
        assert starts == range(0, length, length)
        return
    assert side - stride >= side / 4 - 8
    assert length - starts[-1] >= side / 4


def test_a_tiled_picture_stays_in_range(folder: Path) -> None:
    decoder = load(Decoder(), folder, tiling_min_side=SIDE)
    with torch.inference_mode():
        decoder.network.decoder.conv_out.bias.fill_(5)
    assert run(decoder, 32, 48).max() == run(decoder, 96, 160).max() == 1


def test_tiles_are_whole_latents(folder: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        load(Decoder(), folder, tiling_min_side=100)
