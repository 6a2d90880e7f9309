"""The passes that a stage runs when it loads, so that the first job waits for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from qwen_serving.batched_model import BatchedModel
from qwen_serving.stage_settings import SIDE_MULTIPLE, Bucket

LATENT_PX = 8
TEXT_TOKENS = 64
"""Of the text that is run; other lengths take the same code."""

Example = dict[str, npt.NDArray[Any]]
"""A request's inputs by name, with the batch dimension."""
Array = TypeVar("Array")


class WarmUpError(RuntimeError):
    """A stage cannot run what it is meant to serve."""


def warm_up(
    model: BatchedModel[Array],
    buckets: Sequence[Bucket],
    batches: Callable[[Bucket], Sequence[Sequence[Mapping[str, Array]]]],
) -> None:
    """Run the batches of every size.

    Raises:
        WarmUpError: a pass failed, ran out of memory or gave numbers that are not finite; the
            message names the size.
    """
    for bucket in buckets:
        try:
            results = [model.compute([dict(one) for one in batch]) for batch in batches(bucket)]
        except Exception as error:
            if model.is_out_of_memory(error):
                raise WarmUpError(f"out of memory in the warm-up at {bucket}") from error
            reason = f"{type(error).__name__}: {error}"
            raise WarmUpError(f"the warm-up at {bucket} failed: {reason}") from error
        if not all(
            np.isfinite(model.to_numpy(array)).all()
            for outputs in results
            for answer in outputs
            for array in answer.values()
        ):
            message = f"the warm-up at {bucket} gave numbers that are not finite"
            raise WarmUpError(f"{message}; use another precision")


def step_example(
    bucket: Bucket, *, channels: int, text_width: int, tokens: int = TEXT_TOKENS
) -> Example:
    """One denoising step on noise, beside a text of `tokens`."""
    size = 1, bucket.height // SIDE_MULTIPLE, bucket.width // SIDE_MULTIPLE
    shapes = np.array([[size] * (1 + bucket.conditions)], np.int32)
    patches = int(shapes.prod(axis=-1).sum())
    return {
        "HIDDEN_STATES": _noise(1, patches, channels),
        "TIMESTEP": np.full((1, 1), 0.5, np.float32),
        "ENCODER_HIDDEN_STATES": _noise(1, tokens, text_width),
        "IMG_SHAPES": shapes,
    }


def text_example() -> Example:
    """A text of the first token ids."""
    return {"INPUT_IDS": np.arange(TEXT_TOKENS, dtype=np.int64)[None]}


def picture_example(bucket: Bucket, *, channels: int = 3) -> Example:
    """A picture of noise, for the VAE's encoder."""
    return {"IMAGE": _noise(1, channels, 1, bucket.height, bucket.width).clip(-1, 1)}


def latents_example(bucket: Bucket, *, channels: int, latent_px: int = LATENT_PX) -> Example:
    """Noise for the VAE's decoder."""
    sides = bucket.height // latent_px, bucket.width // latent_px
    return {"LATENTS": _noise(1, channels, 1, *sides)}


def _noise(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, np.float32)
