"""One denoising step of the Qwen-Image transformer in ONNX Runtime, for many jobs at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from qwen_serving.adapters import read_adapters
from qwen_serving.onnx_session import Array
from qwen_serving.onnx_stage import OnnxStage
from qwen_serving.rope_positions import condition_tokens, image_positions, text_positions
from qwen_serving.stage_settings import Bucket
from qwen_serving.warm_up import step_example


class TritonPythonModel(OnnxStage):
    """Same inputs and output as `denoiser.TritonPythonModel`, but the base model alone.

    The graph holds no adapters and no embedding of GUIDANCE: requests with either are refused.
    """

    def example(self, bucket: Bucket) -> dict[str, Array]:
        """A step on noise, of the graph's widths."""
        channels = self.session.inputs["HIDDEN_STATES"][2]
        text_width = self.session.inputs["ENCODER_HIDDEN_STATES"][2]
        return step_example(bucket, channels=channels, text_width=text_width)

    def group_key(self, inputs: dict[str, Array]) -> Hashable:
        """Picture shapes must agree, because of the positions; text lengths need not.

        Raises:
            ValueError: the request asks for an adapter or gives GUIDANCE.
        """
        if "GUIDANCE" in inputs:
            raise ValueError("the engine onnx takes no GUIDANCE; use the engine torch")
        if "ADAPTERS" in inputs:
            wanted = read_adapters(_text(inputs["ADAPTERS"]))
            if wanted:
                raise ValueError(
                    "the engine onnx runs the base model alone; adapters need the engine torch, "
                    f"got {', '.join(sorted(wanted))[:200]}"
                )
        return tuple(inputs["IMG_SHAPES"][0].flatten().tolist()), inputs["HIDDEN_STATES"].shape

    def run(self, group: Sequence[dict[str, Array]]) -> list[dict[str, Array]]:
        """One forward pass; shorter texts are padded and masked out of the attention."""
        text, mask = _pad([inputs["ENCODER_HIDDEN_STATES"][0] for inputs in group])
        shapes = [(row[0], row[1], row[2]) for row in group[0]["IMG_SHAPES"][0].tolist()]
        graph_inputs = {
            "HIDDEN_STATES": np.concatenate([inputs["HIDDEN_STATES"] for inputs in group]),
            "TIMESTEP": np.concatenate([inputs["TIMESTEP"].reshape(1) for inputs in group]),
            "ENCODER_HIDDEN_STATES": text,
            "TEXT_MASK": mask,
            "IMAGE_POSITIONS": image_positions(shapes),
            "TEXT_POSITIONS": text_positions(shapes, text.shape[1]),
        }
        if "CONDITION_TOKENS" in self.session.inputs:
            graph_inputs["CONDITION_TOKENS"] = condition_tokens(shapes)
        return [{"NOISE_PRED": row[None]} for row in self.session.run(graph_inputs)]


def _pad(texts: Sequence[Array]) -> tuple[Array, Array]:
    """Stack (L_i, D) embeddings to (B, max L, D), with a bool mask (B, max L)."""
    longest = max(len(text) for text in texts)
    stacked = np.stack([np.pad(text, ((0, longest - len(text)), (0, 0))) for text in texts])
    lengths = np.array([len(text) for text in texts])
    return stacked, np.arange(longest)[None] < lengths[:, None]


def _text(array: Array) -> str:
    value = array.item()
    return value.decode() if isinstance(value, bytes) else str(value)
