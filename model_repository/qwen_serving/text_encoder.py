"""Qwen2.5-VL as Qwen-Image uses it: token ids and pictures in, last hidden states out."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from qwen_serving import torchvision_ops
from qwen_serving.stage import Stage, Tensors
from qwen_serving.stage_settings import Bucket
from qwen_serving.warm_up import Example, text_example

torchvision_ops.declare()

import transformers  # noqa: E402

BEFORE_NORM = "Qwen3VLForConditionalGeneration"


class TritonPythonModel(Stage):
    """Inputs per request (batch dimension 1, no padding):

    INPUT_IDS [L]; with pictures also PIXEL_VALUES [P, patch] and IMAGE_GRID_THW [k, 3], as the
    checkpoint's processor makes them. Output: HIDDEN_STATES [L, D] after the final norm, or
    before it in the 2.x line, which was trained so.
    """

    quantised_layers = r"model\.language_model\.layers\."

    def load(self, folder: Path) -> None:
        """Load the class that the checkpoint's own config names; its language head is not run."""
        config = json.loads((folder / "config.json").read_text())
        cls = getattr(transformers, config["architectures"][0])
        network = cls.from_pretrained(folder, dtype=self.dtype, local_files_only=True)
        if config["architectures"][0] == BEFORE_NORM:
            network.model.language_model.norm = torch.nn.Identity()
        self.network = self.place(network)
        self.image_token_id = config["image_token_id"]

    def buckets(self) -> tuple[Bucket, ...]:
        """One is enough: the text is as long in all of them."""
        return self.settings.warm_up[:1]

    def batches(self, bucket: Bucket) -> list[list[Example]]:  # noqa: ARG002
        """A text."""
        return [[text_example()]]

    def group_key(self, inputs: Tensors) -> Hashable:
        """Texts of one length run together: padding would cost as much as it saves here."""
        return "PIXEL_VALUES" in inputs, inputs["INPUT_IDS"].shape[1]

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """One forward pass over the group."""
        ids = torch.cat([inputs["INPUT_IDS"] for inputs in group])
        pictures = {}
        if "PIXEL_VALUES" in group[0]:
            pictures = {
                "pixel_values": torch.cat([i["PIXEL_VALUES"][0] for i in group]).to(self.dtype),
                "image_grid_thw": torch.cat([inputs["IMAGE_GRID_THW"][0] for inputs in group]),
                # Without these pictures get positions of plain text; diffusers 0.42 drops them.
                "mm_token_type_ids": (ids == self.image_token_id).int(),
            }
        mask = torch.ones_like(ids)
        states = self.network.model(input_ids=ids, attention_mask=mask, **pictures)
        return [{"HIDDEN_STATES": row[None].float()} for row in states.last_hidden_state]
