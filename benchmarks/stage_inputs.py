"""Ready inputs for every batched model, as perf_analyzer reads them: one file per picture size.

    python -m benchmarks.stage_inputs --triton 127.0.0.1:PORT --output inputs [--side 256]

Widths of tensors come from what the served pipelines say of themselves, so the files fit the demo
models and the real ones alike.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.reporting.options import positive
from benchmarks.workloads.clicks import photograph
from gateway.inference import PIPELINE_MODELS
from gateway.triton.triton_client import TritonBackend

REQUESTS = 8
"""Different requests per file: caches of the stages must not answer for the network."""
PROMPT_TOKENS = 64
VAE_SCALE, PATCH = 8, 2
Tensors = dict[str, npt.NDArray[Any]]


def write_inputs(url: str, folder: Path, *, side: int) -> dict[str, Path]:
    """One file per served model for pictures of `side` pixels, by model; needs a served pipeline.

    Raises:
        RuntimeError: no pipeline answers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    segmenter_side, manifests = asyncio.run(_served(url))
    files = {}
    for model, requests in _all(segmenter_side, manifests, side):
        files[model] = folder / f"{model}-{side}.json"
        files[model].write_text(json.dumps({"data": [_encoded(tensors) for tensors in requests]}))
    return files


async def _served(url: str) -> tuple[int, list[Mapping[str, Any]]]:
    backend = TritonBackend(url, segmentation_timeout_s=30, stall_timeout_s=30)
    try:
        health = [await backend.check(model, timeout_s=30) for model in PIPELINE_MODELS]
        network = await asyncio.to_thread(backend.segmentation_network)
        side = network.size
    finally:
        await backend.close()
    manifests = [entry.manifest for entry in health if entry.ready]
    if not manifests:
        raise RuntimeError(f"no pipeline answers: {health[0].detail}")
    return side, manifests


def _all(
    segmenter_side: int, manifests: Sequence[Mapping[str, Any]], side: int
) -> Iterator[tuple[str, list[Tensors]]]:
    yield "fastsam", _pictures(segmenter_side)
    seen: set[str] = set()
    for manifest in manifests:
        for stage in manifest["stages"].values():
            model = stage["model"]
            if model not in seen:
                seen.add(model)
                yield model, stage_requests(model, manifest["dimensions"], side)


def stage_requests(model: str, dimensions: Mapping[str, int], side: int) -> list[Tensors]:
    """`REQUESTS` random requests of a stage for pictures of `side` pixels.

    Args:
        model: a stage model.
        dimensions: as in `triton_canaries.stage_canary`.
        side: a multiple of 16.
    """
    random = np.random.default_rng(0)
    latents = side // VAE_SCALE

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return random.standard_normal(shape, np.float32)

    def one() -> Tensors:
        if model == "qwen_text_encoder":
            return {"INPUT_IDS": random.integers(0, 100, (PROMPT_TOKENS,), np.int64)}
        if model == "qwen_vae_encoder":
            return {"IMAGE": normal(3, 1, side, side).clip(-1, 1)}
        if model == "qwen_vae_decoder":
            return {"LATENTS": normal(dimensions["z"], 1, latents, latents)}
        grid = latents // PATCH
        return {
            "HIDDEN_STATES": normal(grid * grid, dimensions["latents"]),
            "TIMESTEP": np.array([0.5], np.float32),
            "ENCODER_HIDDEN_STATES": normal(PROMPT_TOKENS, dimensions["text"]),
            "IMG_SHAPES": np.array([[1, grid, grid]], np.int32),
        }

    return [one() for _ in range(REQUESTS)]


def _pictures(side: int) -> list[Tensors]:
    picture = photograph("coffee", side)
    return [{"IMAGES": np.roll(picture, 8 * shift, axis=1)} for shift in range(REQUESTS)]


def _encoded(tensors: Tensors) -> dict[str, Any]:
    """Without the batch dimension, which perf_analyzer adds."""
    return {
        name: {
            "content": {"b64": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()},
            "shape": list(value.shape),
        }
        for name, value in tensors.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files and say where."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stage_inputs")
    parser.add_argument("--triton", required=True, help="host:port of its gRPC")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--side", type=positive, default=256, help="side of the pictures in pixels")
    options = parser.parse_args(arguments)
    for path in write_inputs(options.triton, options.output, side=options.side).values():
        print(path)


if __name__ == "__main__":
    main()
