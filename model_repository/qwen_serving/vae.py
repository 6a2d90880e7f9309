"""The two halves of AutoencoderKLQwenImage.

The class keeps its feature cache on the object, so two threads in it corrupt both pictures:
each half is a Triton model of its own with one instance, and Triton never enters it twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from qwen_serving import torchvision_ops
from qwen_serving.stage import Stage, Tensors

torchvision_ops.declare()

from diffusers import AutoencoderKLQwenImage  # noqa: E402


class _Half(Stage):
    """Loads the whole autoencoder and drops the half it does not run."""

    unused: tuple[str, ...] = ()

    def load(self, folder: Path) -> None:
        network = AutoencoderKLQwenImage.from_pretrained(folder, dtype=self.dtype)
        for name in self.unused:
            delattr(network, name)
            setattr(network, name, torch.nn.Identity())
        self.network = network.eval().to(self.device)


class Encoder(_Half):
    """IMAGE [3, 1, H, W] in -1..1 -> MOMENTS [2z, 1, H/8, W/8]: mean and log-variance."""

    unused = ("decoder", "post_quant_conv")

    def group_key(self, inputs: Tensors) -> Hashable:
        """Pictures of one size."""
        return inputs["IMAGE"].shape

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """Encode the group in one pass."""
        pictures = torch.cat([inputs["IMAGE"] for inputs in group]).to(self.dtype)
        moments = self.network.encode(pictures).latent_dist.parameters
        return [{"MOMENTS": row[None].float()} for row in moments]


class Decoder(_Half):
    """LATENTS [z, 1, h, w] de-normalised -> IMAGE [3, 1, 8h, 8w] in -1..1."""

    unused = ("encoder", "quant_conv")

    def group_key(self, inputs: Tensors) -> Hashable:
        """Latents of one size."""
        return inputs["LATENTS"].shape

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """Decode the group in one pass."""
        latents = torch.cat([inputs["LATENTS"] for inputs in group]).to(self.dtype)
        pictures = self.network.decode(latents, return_dict=False)[0]
        return [{"IMAGE": row[None].float()} for row in pictures]
