"""The linear map from latents to RGB behind the previews of unfinished pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import diffusers  # noqa: E402
import torch  # noqa: E402

from export_scripts.demo_scenes import draw_scene  # noqa: E402


def fit_latent_projection(vae_folder: Path, *, pictures: int = 8) -> list[list[float]]:
    """Least squares from normalised latents to pixels averaged over each, on encoded scenes.

    Returns:
        z + 1 rows of 3: one per latent channel, then the offsets; colours in -1..1.
    """
    config = json.loads((vae_folder / "config.json").read_text())
    vae = getattr(diffusers, config["_class_name"]).from_pretrained(vae_folder).eval()
    scenes = [torch.from_numpy(draw_scene(seed, 256).image) for seed in range(pictures)]
    images = torch.stack(scenes).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        latents = vae.encode(_with_alpha(images, config)[:, :, None]).latent_dist.mode()[:, :, 0]
    mean, std = (
        torch.tensor(v).view(1, -1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std)
    )
    normalised = ((latents - mean) / std).permute(0, 2, 3, 1).flatten(0, 2)
    inputs = torch.cat([normalised, torch.ones(len(normalised), 1)], 1)
    side = images.shape[-1] // latents.shape[-1]
    targets = torch.nn.functional.avg_pool2d(images, side).permute(0, 2, 3, 1).flatten(0, 2)
    solution: list[list[float]] = torch.linalg.lstsq(inputs, targets).solution.tolist()
    return solution


def _with_alpha(images: torch.Tensor, config: Mapping[str, Any]) -> torch.Tensor:
    """Opaque, where the network reads four channels."""
    if config.get("in_channels", 3) == 3:
        return images
    return torch.cat([images, torch.ones_like(images[:, :1])], 1)
