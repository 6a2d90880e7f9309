"""Previews: the clean estimate is exact for an Euler step, and painting is a linear map."""

import numpy as np
import torch
from diffusers import QwenImagePipeline

from qwen_serving.preview import LatentPreview


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(z, h, w) to (1, h/2 * w/2, 4 z), by diffusers' own code."""
    return QwenImagePipeline._pack_latents(latents[None], 1, *latents.shape)


def first_three_channels(z: int = 4) -> list[list[float]]:
    """The projection that shows channels 0, 1 and 2 as they are."""
    return [[float(row == column) for column in range(3)] for row in range(z + 1)]


def test_an_euler_step_gives_its_target() -> None:
    clean, noise = torch.randn(2, 1, 6, 16, dtype=torch.float64)
    sigmas = (0.9, 0.6, 0.25)
    first, second = ((1 - sigma) * clean + sigma * noise for sigma in sigmas[1:])
    preview = LatentPreview(first_three_channels(), (4, 6))
    preview.observe(first, sigmas[0], sigmas[1])
    assert torch.allclose(preview.observe(second, sigmas[1], sigmas[2]), clean, atol=1e-12)


def test_the_first_step_has_nothing_to_compare() -> None:
    latents = torch.randn(1, 6, 16)
    preview = LatentPreview(first_three_channels(), (4, 6))
    assert torch.equal(preview.observe(latents, 1.0, 0.8), latents)


def test_latents_that_change_in_place_are_no_trap() -> None:
    preview = LatentPreview(first_three_channels(), (2, 2))
    latents = torch.zeros(1, 1, 16)
    preview.observe(latents, 1.0, 0.8)
    latents += 0.2
    assert torch.allclose(preview.observe(latents, 0.8, 0.6), torch.full((1, 1, 16), 0.8))


def test_painting_undoes_the_packing() -> None:
    colours = torch.rand(4, 6, 10) * 2 - 1
    painted = LatentPreview(first_three_channels(), (6, 10)).paint(pack(colours))
    expected = (colours[:3].permute(1, 2, 0) + 1) * 127.5
    assert painted.dtype == np.uint8
    assert np.abs(painted - expected.numpy()).max() <= 0.5 + 1e-4


def test_offsets_are_added_and_colours_clipped() -> None:
    weights = first_three_channels()
    weights[-1] = [0.0, 1.0, -3.0]
    painted = LatentPreview(weights, (2, 2)).paint(torch.zeros(1, 1, 16))
    assert painted.tolist() == [[[128, 255, 0]] * 2] * 2


def test_latents_that_are_not_packed_are_painted_as_they_lie() -> None:
    latents = torch.rand(4, 2, 3) * 2 - 1
    preview = LatentPreview(first_three_channels(), (2, 3), packed=False)
    painted = preview.paint(latents.flatten(1).T[None])
    expected = ((latents[:3].permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8)
    assert np.array_equal(painted, expected)
