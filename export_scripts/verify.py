"""`retouch-export verify`: golden requests, served and in plain diffusers, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export_scripts.demo_scenes import draw_scene
from export_scripts.export_errors import ExportError
from export_scripts.similarity import Similarity, compare

Image = npt.NDArray[np.uint8]
TOLERANCES = {"float32": 1, "bfloat16": 48}
"""Largest accepted difference in grey levels. In float32 only rounding differs; in bfloat16 a
step of the served loop, which keeps latents in float32, rounds otherwise than diffusers does."""


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """A request whose picture is compared."""

    name: str
    model: str
    prompt: str
    seed: int
    steps: int
    side: int
    true_cfg_scale: float = 1.0
    negative_prompt: str = ""
    conditions: int = 0
    """Condition pictures, drawn from held-out scenes."""
    masked: bool = False


@dataclass(frozen=True)
class Verdict:
    """How a case came out."""

    case: GoldenCase
    similarity: Similarity
    tolerance: int

    @property
    def passed(self) -> bool:
        """Whether the largest difference is within the tolerance."""
        return self.similarity.max_difference <= self.tolerance


def golden_cases(model: str, *, side: int, steps: int) -> list[GoldenCase]:
    """Text to image, guidance and inpainting; or edits with 1, 2 and 3 conditions."""
    common: dict[str, Any] = {"model": model, "side": side, "steps": steps}
    if model == "qwen_image_edit":
        return [
            GoldenCase(
                name=f"edit, {n} condition{'s' * (n > 1)}",
                prompt="make it a watercolour",
                seed=n,
                conditions=n,
                **common,
            )
            for n in (1, 2, 3)
        ]
    return [
        GoldenCase(name="generate", prompt="a red bicycle in the rain", seed=1, **common),
        GoldenCase(
            name="generate with guidance",
            prompt="a lighthouse",
            negative_prompt="blurry",
            true_cfg_scale=4.0,
            seed=2,
            **common,
        ),
        GoldenCase(name="inpaint", prompt="a hat", seed=3, conditions=1, masked=True, **common),
    ]


def verify(
    url: str,
    repository: Path,
    models: list[str],
    *,
    steps: int = 6,
    device: str = "cpu",
    tolerance: int | None = None,
) -> Iterator[Verdict]:
    """Run the golden cases of each model both ways.

    Args:
        url: host:port of the gRPC of the Triton that serves `repository`.
        repository: the model repository; its weights make the plain pipelines.
        models: pipeline models.
        steps: denoising steps of a case.
        device: of the plain pipelines.
        tolerance: grey levels; by default that of the precision on `device`.

    Raises:
        ExportError: a model is not exported, or the server failed.
    """
    accepted = TOLERANCES["bfloat16" if device.startswith("cuda") else "float32"]
    for model in models:
        manifest = repository / model / "1" / "pipeline" / "retouch.json"
        if not manifest.exists():
            raise ExportError(f"{model} has no export in {repository}.")
        side = min(json.loads(manifest.read_text())["default_size"])
        for case in golden_cases(model, side=side, steps=steps):
            served, plain = _served(url, case), _plain(repository, case, device)
            limit = accepted if tolerance is None else tolerance
            yield Verdict(case, compare(served, plain), limit)


def _conditions(case: GoldenCase) -> list[Image]:
    return [draw_scene(1_000_000 + n, case.side).image for n in range(case.conditions)]


def _mask(case: GoldenCase) -> Image:
    mask = np.zeros((case.side, case.side), np.uint8)
    mask[case.side // 4 : case.side // 2, case.side // 4 : -case.side // 4] = 255
    return mask


def _served(url: str, case: GoldenCase) -> Image:
    from export_scripts.served_pictures import paint

    inputs = {
        "PROMPT": np.array([case.prompt.encode()], object),
        "NEGATIVE_PROMPT": np.array([case.negative_prompt.encode()], object),
        "WIDTH": np.array([case.side], np.int32),
        "HEIGHT": np.array([case.side], np.int32),
        "NUM_INFERENCE_STEPS": np.array([case.steps], np.int32),
        "TRUE_CFG_SCALE": np.array([case.true_cfg_scale], np.float32),
        "SEED": np.array([case.seed], np.int64),
        "STRENGTH": np.array([0.9], np.float32),
    }
    for number, image in enumerate(_conditions(case), start=1):
        inputs[f"IMAGE_{number}"] = image
    if case.masked:
        inputs["MASK"] = _mask(case)
    return paint(url, case.model, inputs)


def _plain(repository: Path, case: GoldenCase, device: str) -> Image:
    import torch
    from PIL import Image as Pillow

    from export_scripts.plain_pipeline import load_pipeline

    pipeline = load_pipeline(repository, case.model, device=device, inpaint=case.masked)
    guided = case.true_cfg_scale > 1
    arguments: dict[str, Any] = {
        "prompt": case.prompt,
        "negative_prompt": case.negative_prompt if guided else None,
        "true_cfg_scale": case.true_cfg_scale,
        "width": case.side,
        "height": case.side,
        "num_inference_steps": case.steps,
        "generator": torch.Generator("cpu").manual_seed(case.seed),
        "output_type": "np",
    }
    images = [Pillow.fromarray(image) for image in _conditions(case)]
    if case.masked:
        mask = Pillow.fromarray(_mask(case))
        arguments |= {"image": images[0], "mask_image": mask, "strength": 0.9}
    elif images:
        arguments["image"] = images
    picture = pipeline(**arguments).images[0]
    return np.asarray((picture * 255).round(), np.uint8)
