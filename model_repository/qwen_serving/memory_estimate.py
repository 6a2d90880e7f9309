"""How many bytes beyond the weights a job needs at most, from the checkpoint's configs alone.

The factors count tensors that are alive at once, with a quarter to spare over measured passes in
float32, against which the tests hold them. Attention is taken to be fused, without a matrix of
scores, but in graphs: ONNX Runtime holds the scores, which grow with the area squared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_serving.job_request import JobRequest

LATENT_PX = 8
TOKEN_PX = 16
"""Pixels a side of a transformer token: 2 x 2 latents."""
TEXT_LIMIT = 512
"""Tokens after which the generation pipelines cut a prompt's embedding off."""
TEMPLATE_TOKENS = 128
"""Room for the pipelines' prompt templates."""
CONDITION_AREAS = {"text_encoder": 384 * 384, "vae": 1024 * 1024}
"""Areas in pixels to which edits scale their references, in diffusers."""
TRANSFORMER_TENSORS = 28
VAE_TENSORS = 44
TEXT_TENSORS = 16
TRANSFORMER_SCORES = 6
GRAPH_NUMBER_BYTES = 4
"""Graphs compute in float32 on any device."""


@dataclass(frozen=True)
class CheckpointShape:
    """A pipeline's configs as far as memory depends on them."""

    transformer: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> CheckpointShape:
        """Read what `retouch-export` left in a pipeline's folder."""

        def read(name: str) -> Any:
            return json.loads((folder / name).read_text())

        return cls(
            transformer=read("transformer/config.json"),
            vae=read("vae/config.json"),
            text_encoder=read("text_encoder/config.json"),
            manifest=read("retouch.json"),
        )


def job_bytes(
    shape: CheckpointShape, request: JobRequest, *, number_bytes: int, tiling_min_side: int
) -> int:
    """What a job needs at most beyond the weights: the sum over its stages.

    A sum and not the largest, because every stage keeps its peak in a reserve of its own process.
    A batch needs the sum of its jobs' rows; with guidance a job has two rows.

    Args:
        shape: of the checkpoint.
        request: the job.
        number_bytes: of one number in the stages: 2 on a GPU, 4 on a CPU.
        tiling_min_side: side in pixels above which the VAE works in tiles; 0 for never.
    """
    encoded = encoded_sizes(shape, request)
    picture_tokens = tokens_of(request.width, request.height)
    if request.mask is None:
        picture_tokens += sum(tokens_of(*size) for size in encoded)
    text_tokens = _text_tokens(shape, request)
    rows = 2 if request.true_cfg_scale > 1 else 1
    pictures = [(request.width, request.height), *encoded]
    vae = [_vae_of(shape, size, number_bytes, tiling_min_side) for size in pictures]
    is_cut = "context_in_dim" not in shape.transformer and not _has_references(request)
    cut = min(text_tokens, TEXT_LIMIT) if is_cut else text_tokens
    return (
        rows * _transformer_of(shape, picture_tokens, cut, number_bytes)
        + vae[0]
        + max(vae[1:], default=0)
        + text_encoder_bytes(shape.text_encoder, text_tokens + TEMPLATE_TOKENS, number_bytes)
    )


def transformer_bytes(
    config: Mapping[str, Any], picture_tokens: int, text_tokens: int, number_bytes: int
) -> int:
    """One row of a denoising step: 28 tensors of (tokens, width).

    Alive at once in a block: both residuals, the modulated input, queries, keys and values
    of both streams and joined, their rotation in float32, or the feed-forward's inner layer,
    which is 4 wide, before and after its activation.
    """
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return TRANSFORMER_TENSORS * (picture_tokens + text_tokens) * int(width) * number_bytes


def transformer_graph_bytes(
    config: Mapping[str, Any], picture_tokens: int, text_tokens: int
) -> int:
    """One row of a step in ONNX Runtime, in float32: 6 matrices of every head's scores besides."""
    scores = int(config["num_attention_heads"]) * (picture_tokens + text_tokens) ** 2
    tensors = transformer_bytes(config, picture_tokens, text_tokens, GRAPH_NUMBER_BYTES)
    return tensors + TRANSFORMER_SCORES * scores * GRAPH_NUMBER_BYTES


def vae_bytes(
    config: Mapping[str, Any], width: int, height: int, tiling_min_side: int, number_bytes: int
) -> int:
    """One picture through a half of the VAE: 44 tensors of (base_dim, height, width), of a tile.

    A third of them and more are the inputs of every convolution, which the network keeps for a next
    frame that never comes. Besides, whole pictures of 3 channels: the tiles and their blend.
    """
    tile = [min(side, tiling_min_side) if tiling_min_side else side for side in (width, height)]
    channels = max(int(config["base_dim"]), int(config.get("decoder_base_dim") or 0))
    tensors = VAE_TENSORS * channels * math.prod(tile)
    pictures = 6 * 3 * width * height
    return (tensors + pictures) * number_bytes


def vae_graph_bytes(config: Mapping[str, Any], width: int, height: int) -> int:
    """One picture through a half of the VAE in ONNX Runtime: float32, no tiles.

    Besides the tensors, the scores of the middle's attention before and after its softmax: one
    head, a token per latent. At 2048 x 2048 that alone is 32 GiB.
    """
    latents = math.ceil(width / LATENT_PX) * math.ceil(height / LATENT_PX)
    return vae_bytes(config, width, height, 0, GRAPH_NUMBER_BYTES) + (
        2 * latents**2 * GRAPH_NUMBER_BYTES
    )


def text_encoder_bytes(config: Mapping[str, Any], tokens: int, number_bytes: int) -> int:
    """One prompt: 16 tensors of (tokens, hidden) and 4 of the feed-forward's inner layer."""
    text = config.get("text_config") or config
    per_token = TEXT_TENSORS * text["hidden_size"] + 4 * text["intermediate_size"]
    return int(tokens * per_token) * number_bytes


def encoded_sizes(shape: CheckpointShape, request: JobRequest) -> list[tuple[int, int]]:
    """Width and height at which the VAE encodes each condition image, rounded up."""
    if request.mask is not None:
        return [(request.width, request.height)]
    area = (shape.manifest.get("condition_areas") or CONDITION_AREAS)["vae"]
    return [_scaled(image.shape[1] / image.shape[0], area) for image in request.images]


def tokens_of(width: int, height: int) -> int:
    """Tokens of a picture in the transformer."""
    return math.ceil(width / TOKEN_PX) * math.ceil(height / TOKEN_PX)


def describe(request: JobRequest) -> str:
    """Such as "A 2048x2048 picture with 3 references"."""
    count = len(request.images) - (request.mask is not None)
    references = f" with {count} reference{'s' if count > 1 else ''}" if count else ""
    return f"A {request.width}x{request.height} picture{references}"


def _has_references(request: JobRequest) -> bool:
    return bool(request.images) and request.mask is None


def _transformer_of(shape: CheckpointShape, pictures: int, text: int, number_bytes: int) -> int:
    if _is_graph(shape, "transformer"):
        return transformer_graph_bytes(shape.transformer, pictures, text)
    return transformer_bytes(shape.transformer, pictures, text, number_bytes)


def _vae_of(shape: CheckpointShape, size: tuple[int, int], number_bytes: int, tile: int) -> int:
    if _is_graph(shape, "vae_encoder") or _is_graph(shape, "vae_decoder"):
        return vae_graph_bytes(shape.vae, *size)
    return vae_bytes(shape.vae, *size, tile, number_bytes)


def _is_graph(shape: CheckpointShape, part: str) -> bool:
    settings: Mapping[str, Any] = shape.manifest.get("settings", {})
    return bool(settings.get(part, {}).get("engine") == "onnx")


def _text_tokens(shape: CheckpointShape, request: JobRequest) -> int:
    """At most one token for a byte of text, and one for 28 x 28 pixels of a condition image."""
    texts = (request.prompt, request.negative_prompt)
    tokens = max(len(text.encode()) for text in texts)
    if request.mask is None:
        area = (shape.manifest.get("condition_areas") or CONDITION_AREAS)["text_encoder"]
        sizes = [_scaled(image.shape[1] / image.shape[0], area) for image in request.images]
        tokens += sum(math.ceil(w / 28) * math.ceil(h / 28) for w, h in sizes)
    return tokens


def _scaled(ratio: float, area: int) -> tuple[int, int]:
    """Width and height of about `area` pixels, in steps of 32, rounded up."""
    width = math.ceil(math.sqrt(area * ratio) / 32) * 32
    return width, math.ceil(math.sqrt(area / ratio) / 32) * 32
