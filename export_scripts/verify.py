"""`retouch-export verify`: golden requests, served and in plain diffusers, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export_scripts.demo_scenes import draw_scene
from export_scripts.export_errors import ExportError
from export_scripts.similarity import Similarity, compare
from export_scripts.version_store import VersionStore

Image = npt.NDArray[np.uint8]
TOLERANCES = {"fp32": 1, "fp16": 4, "bf16": 20, "int8": 24, "fp8": 48}
"""Largest accepted difference in grey levels, by precision. In fp32 only rounding differs. Where
fewer bits are kept a step of the served loop, which keeps latents in float32, rounds otherwise
than diffusers does: 1 in fp16 and 10 in bf16 at most on small random checkpoints, of which this
is the double and more (docs/exporting.md). int8 is compared with the whole weights, in bf16 on a
GPU. fp8 has not been measured."""
_STEPS = 6


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
    adapter: str | None = None
    """A LoRA adapter at scale 1."""


@dataclass(frozen=True)
class Verdict:
    """How a case came out."""

    case: GoldenCase
    similarity: Similarity
    tolerance: int
    """In grey levels."""

    @property
    def passed(self) -> bool:
        """Whether the largest difference is within the tolerance."""
        return self.similarity.max_difference <= self.tolerance


def golden_cases(
    model: str, *, side: int, steps: int, adapters: Sequence[str] = (), inpaints: bool = True
) -> list[GoldenCase]:
    """Text to image, guidance and, where it can, inpainting; or edits with 1, 2 and 3 conditions.

    And one case with each adapter.
    """
    common: dict[str, Any] = {"model": model, "side": side, "steps": steps}
    with_adapters = [
        GoldenCase(
            name=f"adapter {name}",
            prompt="a garden",
            seed=4,
            conditions=1 if model == "qwen_image_edit" else 0,
            adapter=name,
            **common,
        )
        for name in adapters
    ]
    if model == "qwen_image_edit":
        edits = [
            GoldenCase(
                name=f"edit, {n} condition{'s' * (n > 1)}",
                prompt="make it a watercolour",
                seed=n,
                conditions=n,
                **common,
            )
            for n in (1, 2, 3)
        ]
        return edits + with_adapters
    inpaint = GoldenCase(
        name="inpaint", prompt="a hat", seed=3, conditions=1, masked=True, **common
    )
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
        *([inpaint] if inpaints else []),
        *with_adapters,
    ]


def verify(  # noqa: PLR0913
    url: str,
    repository: Path,
    model: str,
    version: int | None = None,
    *,
    served_as: str | None = None,
    steps: int | None = None,
    device: str = "cpu",
    tolerance: int | None = None,
) -> Iterator[Verdict]:
    """Run the golden cases of a model both ways.

    Args:
        url: host:port of the gRPC of the Triton that serves `repository`.
        repository: the model repository; its weights make the plain pipelines.
        model: a pipeline model.
        version: of the model; by default the one that is served.
        served_as: name under which Triton serves it; by default its own.
        steps: denoising steps of a case; by default as many as the export has sigmas, else 6.
        device: of the plain pipelines.
        tolerance: grey levels; by default what the export states, or that of its precision on
            `device`.

    Raises:
        ExportError: the model is not exported, or the server failed.
    """
    store = VersionStore(repository)
    versions = store.served(model)
    if version is None and not versions:
        raise ExportError(f"{model} has no version that is served in {repository}.")
    version = version or versions[-1]
    manifest = store.manifest(model, version)
    stated = tolerance if tolerance is not None else manifest.get("tolerance")
    limit = TOLERANCES[coarsest_precision(manifest, device)] if stated is None else stated
    sigmas = manifest.get("sigmas")
    cases = golden_cases(
        model,
        side=min(manifest["default_size"]),
        steps=steps or len(sigmas or range(_STEPS)),
        adapters=manifest.get("adapters", ()),
        inpaints=manifest["inpaint_pipeline"] is not None,
    )
    for case in cases:
        served = _served(url, case, served_as or model)
        plain = _plain(repository, version, case, device, manifest)
        yield Verdict(case, compare(served, plain), limit)


def coarsest_precision(manifest: dict[str, Any], device: str) -> str:
    """Of those that the model's stages run in; graphs compute in float32 on any device."""
    automatic = "bf16" if device.startswith("cuda") else "fp32"
    used = {
        "fp32" if entry.get("engine") == "onnx" else entry["precision"]
        for entry in manifest.get("settings", {}).values()
    }
    named = {automatic if name == "auto" else name for name in used or {"auto"}}
    return max(named, key=lambda name: TOLERANCES[name])


def _conditions(case: GoldenCase) -> list[Image]:
    return [draw_scene(1_000_000 + n, case.side).image for n in range(case.conditions)]


def _mask(case: GoldenCase) -> Image:
    mask = np.zeros((case.side, case.side), np.uint8)
    mask[case.side // 4 : case.side // 2, case.side // 4 : -case.side // 4] = 255
    return mask


def _served(url: str, case: GoldenCase, model: str) -> Image:
    from export_scripts.served_pictures import paint

    inputs = {
        "PROMPT": np.array([case.prompt.encode()], object),
        "NEGATIVE_PROMPT": np.array([case.negative_prompt.encode()], object),
        "WIDTH": np.array([case.side], np.int32),
        "HEIGHT": np.array([case.side], np.int32),
        "NUM_INFERENCE_STEPS": np.array([case.steps], np.int32),
        "TRUE_CFG_SCALE": np.array([case.true_cfg_scale], np.float64),
        "SEED": np.array([case.seed], np.int64),
        "STRENGTH": np.array([0.9], np.float64),
    }
    for number, image in enumerate(_conditions(case), start=1):
        inputs[f"IMAGE_{number}"] = image
    if case.masked:
        inputs["MASK"] = _mask(case)
    if case.adapter:
        inputs["ADAPTERS"] = np.array([json.dumps({case.adapter: 1.0}).encode()], object)
    return paint(url, model, inputs)


def _plain(
    repository: Path, version: int, case: GoldenCase, device: str, manifest: dict[str, Any]
) -> Image:
    import torch
    from PIL import Image as Pillow

    from export_scripts.plain_pipeline import load_pipeline, opaque, own_arguments

    pipeline = load_pipeline(
        repository, case.model, version, device=device, inpaint=case.masked, adapter=case.adapter
    )
    guided = case.true_cfg_scale > 1
    sigmas = manifest.get("sigmas")
    arguments: dict[str, Any] = {
        "prompt": case.prompt,
        "negative_prompt": case.negative_prompt if guided else None,
        "true_cfg_scale": case.true_cfg_scale,
        "width": case.side,
        "height": case.side,
        "num_inference_steps": case.steps,
        "sigmas": sigmas if sigmas and len(sigmas) == case.steps else None,
        "generator": torch.Generator("cpu").manual_seed(case.seed),
        "output_type": "np",
        **own_arguments(manifest),
    }
    images = [Pillow.fromarray(image) for image in _conditions(case)]
    if case.masked:
        mask = Pillow.fromarray(_mask(case))
        arguments |= {"image": images[0], "mask_image": mask, "strength": 0.9}
    elif images:
        arguments["image"] = images
    picture = opaque(pipeline(**arguments).images[0])
    return np.asarray((picture * 255).round(), np.uint8)
