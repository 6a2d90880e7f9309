"""The two halves of the VAE, AutoencoderKLQwenImage or that of the 2.x line.

The classes keep their feature cache on the object, so two threads in it corrupt both pictures:
each half is a Triton model of its own with one instance, and Triton never enters it twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from qwen_serving import torchvision_ops
from qwen_serving.stage import Stage, Tensors
from qwen_serving.stage_settings import Bucket
from qwen_serving.warm_up import LATENT_PX, Example, latents_example, picture_example

torchvision_ops.declare()

import diffusers  # noqa: E402

TILING_MIN_SIDE = 1536


class _Half(Stage):
    """Loads the whole autoencoder and drops the half it does not run.

    Pictures with a side above the parameter `tiling_min_side` (pixels, 0 for never) are worked
    on in tiles of that side, which bounds the memory. Tiles are blended where they overlap, by a
    quarter or more as in diffusers; larger tiles than its 256 pixels leave fewer seams.
    """

    unused: tuple[str, ...] = ()

    def load(self, folder: Path) -> None:
        name = json.loads((folder / "config.json").read_text())["_class_name"]
        network = getattr(diffusers, name).from_pretrained(folder, dtype=self.dtype)
        self.latent_px: int = network.spatial_compression_ratio
        for name in self.unused:
            delattr(network, name)
            setattr(network, name, torch.nn.Identity())
        side = self.parameter("tiling_min_side", TILING_MIN_SIDE)
        if side % self.latent_px:
            raise ValueError(f"tiling_min_side is a multiple of {self.latent_px}, got {side}")
        if side:
            network.enable_tiling(side, side)
        self.network = self.place(network)

    def lay_tiles(self, height: int, width: int) -> None:
        """Place the tiles for pictures of this size, in pixels."""
        side = self.network.tile_sample_min_height
        self.network.tile_sample_stride_height = tile_stride(height, side, self.latent_px)
        self.network.tile_sample_stride_width = tile_stride(width, side, self.latent_px)


class Encoder(_Half):
    """IMAGE [c, 1, H, W] in -1..1 -> MOMENTS [2z, 1, H/8, W/8]: mean and log-variance.

    In the 2.x line c is 4, with alpha, and a latent covers 16 pixels a side instead of 8.
    """

    unused = ("decoder", "post_quant_conv")

    def batches(self, bucket: Bucket) -> list[list[Example]]:
        """A picture of noise."""
        channels = getattr(self.network.config, "in_channels", 3)
        return [[picture_example(bucket, channels=channels)]]

    def group_key(self, inputs: Tensors) -> Hashable:
        """Pictures of one size."""
        return inputs["IMAGE"].shape

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """Encode the group in one pass."""
        pictures = torch.cat([inputs["IMAGE"] for inputs in group]).to(self.dtype)
        self.lay_tiles(*pictures.shape[-2:])
        moments = self.network.encode(pictures).latent_dist.parameters
        return [{"MOMENTS": row[None].float()} for row in moments]


class Decoder(_Half):
    """LATENTS [z, 1, h, w] de-normalised -> IMAGE [c, 1, 8h, 8w] in -1..1; c as the encoder's."""

    unused = ("encoder", "quant_conv")

    def batches(self, bucket: Bucket) -> list[list[Example]]:
        """Latents of noise."""
        z = self.network.config.z_dim
        return [[latents_example(bucket, channels=z, latent_px=self.latent_px)]]

    def group_key(self, inputs: Tensors) -> Hashable:
        """Latents of one size."""
        return inputs["LATENTS"].shape

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """Decode the group in one pass."""
        latents = torch.cat([inputs["LATENTS"] for inputs in group]).to(self.dtype)
        self.lay_tiles(*(self.latent_px * side for side in latents.shape[-2:]))
        pictures = self.network.decode(latents, return_dict=False)[0]
        # diffusers keeps to the range itself, but not when it tiles.
        return [{"IMAGE": row[None].float().clamp(-1, 1)} for row in pictures]


def tile_stride(length: int, side: int, latent_px: int = LATENT_PX) -> int:
    """Pixels from one tile to the next; whole latents.

    The fixed stride of diffusers may leave a last tile of a few pixels, painted without its
    surroundings. Here the last one is about as long as the stride.
    """
    tiles = 1 if length <= side else math.ceil(length / (side * 3 / 4))
    return math.ceil(length / tiles / latent_px) * latent_px
