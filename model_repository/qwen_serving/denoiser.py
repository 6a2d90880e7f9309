"""One denoising step of the Qwen-Image transformer, for many jobs at once."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from qwen_serving import torchvision_ops
from qwen_serving.stage import Stage, Tensors

torchvision_ops.declare()

import diffusers  # noqa: E402


class TritonPythonModel(Stage):
    """Inputs per request (batch dimension 1, text without padding):

    HIDDEN_STATES [S, C] packed latents, then those of the condition images; TIMESTEP [1] in
    0..1; ENCODER_HIDDEN_STATES [L, D]; IMG_SHAPES [k, 3] frames, height and width in
    latent patches of the output and of each condition image; GUIDANCE [1] where the
    checkpoint is guidance-distilled. Output: NOISE_PRED [S, C].
    """

    def load(self, folder: Path) -> None:
        """Load the class that the checkpoint's own config names."""
        name = json.loads((folder / "config.json").read_text())["_class_name"]
        network = getattr(diffusers, name).from_pretrained(folder, dtype=self.dtype)
        self.network = network.eval().to(self.device)

    def group_key(self, inputs: Tensors) -> Hashable:
        """Picture shapes must agree (one rotary table per batch); text lengths need not."""
        shapes = tuple(inputs["IMG_SHAPES"][0].flatten().tolist())
        return shapes, inputs["HIDDEN_STATES"].shape, "GUIDANCE" in inputs

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """One forward pass; shorter texts are padded and masked out of the attention."""
        text, mask = _pad([inputs["ENCODER_HIDDEN_STATES"][0] for inputs in group])
        shapes = [tuple(row) for row in group[0]["IMG_SHAPES"][0].tolist()]
        guidance = None
        if "GUIDANCE" in group[0]:
            guidance = torch.cat([inputs["GUIDANCE"].reshape(1) for inputs in group])
        noise = self.network(
            hidden_states=self._stack(group, "HIDDEN_STATES"),
            timestep=torch.cat([inputs["TIMESTEP"].reshape(1) for inputs in group]).to(self.dtype),
            guidance=guidance,
            encoder_hidden_states=text.to(self.dtype),
            encoder_hidden_states_mask=mask,
            img_shapes=[shapes] * len(group),
            return_dict=False,
        )[0]
        return [{"NOISE_PRED": row[None].float()} for row in noise]

    def _stack(self, group: Sequence[Tensors], name: str) -> torch.Tensor:
        return torch.cat([inputs[name] for inputs in group]).to(self.dtype)


def _pad(texts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Stack (L_i, D) embeddings to (B, max L, D) with a bool mask, None when nothing is padded."""
    lengths = [len(text) for text in texts]
    stacked = torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True)
    if min(lengths) == max(lengths):
        return stacked, None
    positions = torch.arange(max(lengths), device=stacked.device)
    return stacked, positions[None] < torch.tensor(lengths, device=stacked.device)[:, None]
