"""The served checkpoints in plain diffusers, in this process: what served pictures must equal."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from export_scripts.plain_pipeline import load_pipeline
from export_scripts.version_store import VersionStore, stage_of
from gateway.inference import PictureRequest

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"


def paint(
    prompt: str,
    *,
    seed: int,
    steps: int = 8,
    size_wh: tuple[int, int] = (256, 256),
    true_cfg_scale: float = 1.0,
    negative_prompt: str = "",
    images: list[Image.Image] | None = None,
    mask: Image.Image | None = None,
    strength: float = 0.9,
    adapters: Mapping[str, float] | None = None,
    repository: Path = REPOSITORY,
) -> npt.NDArray[np.uint8]:
    """Run the pipeline class that serves such a request; LoRA as `load_lora_weights` has it."""
    arguments: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": (negative_prompt or " ") if true_cfg_scale > 1 else None,
        "true_cfg_scale": true_cfg_scale,
        "width": size_wh[0],
        "height": size_wh[1],
        "num_inference_steps": steps,
        "generator": torch.Generator("cpu").manual_seed(seed),
        "output_type": "np",
    }
    if mask is not None and images:
        arguments |= {"image": images[0], "mask_image": mask, "strength": strength}
    elif images:
        arguments["image"] = images
    model = "qwen_image_edit" if images and mask is None else "qwen_image"
    pipeline = load_pipeline(repository, model, inpaint=mask is not None)
    with _adapted(pipeline, _adapters_folder(repository, model), adapters or {}):
        picture = pipeline(**arguments).images[0]
    return (picture * 255).round().astype(np.uint8)


def paint_request(request: PictureRequest, repository: Path = REPOSITORY) -> npt.NDArray[np.uint8]:
    """What a request to a pipeline model asks for."""
    return paint(
        request.prompt,
        seed=request.seed,
        steps=request.num_inference_steps,
        size_wh=(request.width, request.height),
        true_cfg_scale=request.true_cfg_scale,
        negative_prompt=request.negative_prompt,
        images=[Image.fromarray(image) for image in request.images],
        mask=None if request.mask is None else Image.fromarray(request.mask),
        strength=request.strength,
        adapters=request.adapters,
        repository=repository,
    )


def difference(served_png: bytes, expected: npt.NDArray[np.uint8]) -> int:
    """Largest difference of a channel, in grey levels."""
    served = np.asarray(Image.open(io.BytesIO(served_png)).convert("RGB"))
    return pixel_difference(served, expected)


def pixel_difference(served: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> int:
    """Largest difference of a channel, in grey levels."""
    assert served.shape == expected.shape
    return int(np.abs(served.astype(int) - expected.astype(int)).max())


def _adapters_folder(repository: Path, model: str) -> Path:
    store = VersionStore(repository)
    stages = store.manifest(model, store.served(model)[-1])["stages"]
    return store.folder(*stage_of(stages["transformer"])) / "weights" / "adapters"


@contextmanager
def _adapted(pipeline: Any, folder: Path, adapters: Mapping[str, float]) -> Iterator[None]:
    """The pipeline with these adapters; afterwards without any."""
    if not adapters:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
        for name in adapters:
            pipeline.load_lora_weights(folder / name, adapter_name=name)
    pipeline.set_adapters(list(adapters), list(adapters.values()))
    try:
        yield
    finally:
        pipeline.unload_lora_weights()
