"""One denoising step of the Qwen-Image transformer, for many jobs at once."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from qwen_serving import torchvision_ops
from qwen_serving.adapters import Adapters, AdapterSet, read_adapters
from qwen_serving.stage import Stage, Tensors
from qwen_serving.tensors import text_of

torchvision_ops.declare()

import diffusers  # noqa: E402


class TritonPythonModel(Stage):
    """Inputs per request (batch dimension 1, text without padding):

    HIDDEN_STATES [S, C] packed latents, then those of the condition images; TIMESTEP [1] in
    0..1; ENCODER_HIDDEN_STATES [L, D]; IMG_SHAPES [k, 3] frames, height and width in
    latent patches of the output and of each condition image; GUIDANCE [1] where the
    checkpoint is guidance-distilled; ADAPTERS [1] JSON of LoRA scales by name, without which
    the base model runs. Output: NOISE_PRED [S, C].
    """

    def load(self, folder: Path) -> None:
        """Load the class that the checkpoint's own config names, with its adapters."""
        name = json.loads((folder / "config.json").read_text())["_class_name"]
        network = getattr(diffusers, name).from_pretrained(folder, dtype=self.dtype)
        self.network = network.eval().to(self.device)
        self.adapters = Adapters(self.network, folder / "adapters")

    def group_key(self, inputs: Tensors) -> Hashable:
        """Picture shapes and adapters must agree; text lengths need not.

        The first because of the rotary table, the second because adapters are the network's
        state.
        """
        shapes = tuple(inputs["IMG_SHAPES"][0].flatten().tolist())
        hidden = inputs["HIDDEN_STATES"].shape
        return shapes, hidden, "GUIDANCE" in inputs, self._adapters_of(inputs)

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """One forward pass; shorter texts are padded and masked out of the attention."""
        text, mask = _pad([inputs["ENCODER_HIDDEN_STATES"][0] for inputs in group])
        shapes = [tuple(row) for row in group[0]["IMG_SHAPES"][0].tolist()]
        guidance = None
        if "GUIDANCE" in group[0]:
            guidance = torch.cat([inputs["GUIDANCE"].reshape(1) for inputs in group])
        adapters = self._adapters_of(group[0])
        self.adapters.activate(adapters)
        self.adapters.verify(adapters)
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

    def _adapters_of(self, inputs: Tensors) -> AdapterSet:
        wanted = text_of(inputs["ADAPTERS"]) if "ADAPTERS" in inputs else ""
        return self.adapters.resolve(read_adapters(wanted))

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
