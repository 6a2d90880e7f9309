"""One denoising step of the Qwen-Image transformer, for many jobs at once."""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from qwen_serving import single_stream, torchvision_ops
from qwen_serving.adapters import Adapters, AdapterSet, read_adapters
from qwen_serving.stage import Stage, Tensors
from qwen_serving.stage_settings import Bucket
from qwen_serving.tensors import text_of
from qwen_serving.warm_up import TEXT_TOKENS, Example, step_example

torchvision_ops.declare()

import diffusers  # noqa: E402

_COMPILED_AT = Bucket(256, 256)


class TritonPythonModel(Stage):
    """Inputs per request (batch dimension 1, text without padding):

    HIDDEN_STATES [S, C] packed latents, then those of the condition images; TIMESTEP [1] in
    0..1; ENCODER_HIDDEN_STATES [L, D]; IMG_SHAPES [k, 3] frames, height and width in
    latent patches of the output and of each condition image; GUIDANCE [1] where the
    checkpoint is guidance-distilled; IMG_MASK [M] in the 2.x line (`single_stream.py`), which
    takes the condition images before the output; ADAPTERS [1] JSON of LoRA scales by name,
    without which the base model runs. Output: NOISE_PRED [S, C], in the 2.x line of the output
    alone.
    """

    quantised_layers = r"transformer_blocks\.\d+\.(attn|img_mlp|txt_mlp)\."
    compiles = True

    def load(self, folder: Path) -> None:
        """Load the class that the checkpoint's own config names, with its adapters."""
        name = json.loads((folder / "config.json").read_text())["_class_name"]
        network = getattr(diffusers, name).from_pretrained(folder, dtype=self.dtype)
        self.adapters = Adapters(network, folder / "adapters")
        self.network = self.place(network)
        if self.settings.compile:
            _set_up_compiler()
            self.network.compile_repeated_blocks(dynamic=True)

    def buckets(self) -> tuple[Bucket, ...]:
        """At least one where there is something to compile, so that a failure stops the load."""
        known = self.settings.warm_up
        return known or ((_COMPILED_AT,) if self.settings.compile else ())

    def batches(self, bucket: Bucket) -> list[list[Example]]:
        """A step on noise; also two with a mask between them, where that is other code."""
        config = self.network.config
        if "context_in_dim" in config:
            widths = {"channels": config.in_channels, "text_width": config.context_in_dim}
            return [[single_stream.example(bucket, **widths)]]
        widths = {"channels": config.in_channels, "text_width": config.joint_attention_dim}
        one = step_example(bucket, **widths)
        if not self.settings.compile:
            return [[one]]
        return [[one], [one, step_example(bucket, **widths, tokens=TEXT_TOKENS // 2)]]

    def group_key(self, inputs: Tensors) -> Hashable:
        """Picture shapes and adapters must agree; text lengths only in the 2.x line.

        The first because of the rotary table, the second because adapters are the network's
        state. In the 2.x line what follows a text stands where the text ends.
        """
        shapes = tuple(inputs["IMG_SHAPES"][0].flatten().tolist())
        hidden = inputs["HIDDEN_STATES"].shape
        layout = single_stream.layout_of(inputs)
        return shapes, hidden, layout, "GUIDANCE" in inputs, self._adapters_of(inputs)

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """One forward pass; shorter texts are padded and masked out of the attention."""
        text, mask = _pad([inputs["ENCODER_HIDDEN_STATES"][0] for inputs in group])
        shapes = [tuple(row) for row in group[0]["IMG_SHAPES"][0].tolist()]
        adapters = self._adapters_of(group[0])
        self.adapters.activate(adapters)
        self.adapters.verify(adapters)
        common = {
            "hidden_states": self._stack(group, "HIDDEN_STATES"),
            "timestep": torch.cat([inputs["TIMESTEP"].reshape(1) for inputs in group]).to(
                self.dtype
            ),
            "encoder_hidden_states": text.to(self.dtype),
            "encoder_hidden_states_mask": mask,
            "img_shapes": [shapes] * len(group),
            "return_dict": False,
        }
        if "IMG_MASK" in group[0]:
            masks = [inputs["IMG_MASK"] for inputs in group]
            noise = single_stream.predict(self.network, common, masks)
        else:
            noise = self.network(**common, guidance=_guidance(group))[0]
        return [{"NOISE_PRED": row[None].float()} for row in noise]

    def _adapters_of(self, inputs: Tensors) -> AdapterSet:
        wanted = text_of(inputs["ADAPTERS"]) if "ADAPTERS" in inputs else ""
        return self.adapters.resolve(read_adapters(wanted))

    def _stack(self, group: Sequence[Tensors], name: str) -> torch.Tensor:
        return torch.cat([inputs[name] for inputs in group]).to(self.dtype)


def _guidance(group: Sequence[Tensors]) -> torch.Tensor | None:
    if "GUIDANCE" not in group[0]:
        return None
    return torch.cat([inputs["GUIDANCE"].reshape(1) for inputs in group])


def _pad(texts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Stack (L_i, D) embeddings to (B, max L, D) with a bool mask, None when nothing is padded."""
    lengths = [len(text) for text in texts]
    stacked = torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True)
    if min(lengths) == max(lengths):
        return stacked, None
    positions = torch.arange(max(lengths), device=stacked.device)
    return stacked, positions[None] < torch.tensor(lengths, device=stacked.device)[:, None]


def _set_up_compiler() -> None:
    """Let one code serve all sizes, and leave room for that of many sets of adapters."""
    # Else a picture of as many tokens as the network is wide is taken to be always so large.
    torch.fx.experimental._config.use_duck_shape = False
    # A set of adapters is compiled when it is first asked for.
    torch._dynamo.config.recompile_limit = 64
    # The rotation's complex numbers are left to torch's own kernels.
    warnings.filterwarnings("ignore", "Torchinductor does not support code generation for complex")
