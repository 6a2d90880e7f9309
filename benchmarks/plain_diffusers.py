"""The served checkpoints in plain diffusers, in this process: serving without a server.

torch and diffusers are imported on first use, so that a process that only asks another one to
paint goes without them.
"""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.paint_jobs import PaintJob
from gateway.generation import TASK_MODELS


def paint(repository: Path, device: str, job: PaintJob) -> tuple[float, npt.NDArray[np.uint8]]:
    """Run one job; the seconds of the pipeline's call, and the picture."""
    pipeline = _pipeline(repository / TASK_MODELS[job.task] / "1" / "pipeline", device)
    arguments = _arguments(job)
    started = time.perf_counter()
    painted = pipeline(**arguments).images[0]
    return time.perf_counter() - started, (painted * 255).round().astype(np.uint8)


def _arguments(job: PaintJob) -> dict[str, Any]:
    import torch
    from PIL import Image

    picture = job.picture()
    return {
        "prompt": job.prompt,
        "true_cfg_scale": 1.0,
        "width": job.side,
        "height": job.side,
        "num_inference_steps": job.steps,
        "generator": torch.Generator("cpu").manual_seed(job.seed),
        "output_type": "np",
        **({} if picture is None else {"image": [Image.fromarray(picture)]}),
    }


@cache
def _pipeline(folder: Path, device: str) -> Any:
    """The pipeline that the manifest in `folder` names, with the weights of its stages."""
    from qwen_serving import torchvision_ops

    torchvision_ops.declare()
    import diffusers
    import transformers

    transformers.utils.logging.disable_progress_bar()
    manifest = json.loads((folder / "retouch.json").read_text())
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    modules = {
        "scheduler": scheduler,
        "tokenizer": transformers.AutoTokenizer.from_pretrained(folder / "tokenizer"),
        **_networks(folder.parents[2], manifest["stages"], device),
    }
    if (folder / "processor").is_dir():
        modules["processor"] = transformers.AutoProcessor.from_pretrained(folder / "processor")
    _set_condition_areas(manifest)
    pipeline = getattr(diffusers, manifest["pipeline"])(**modules).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _networks(repository: Path, stages: dict[str, str], device: str) -> dict[str, Any]:
    import diffusers
    import torch
    import transformers

    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32

    def load(library: Any, stage: str) -> Any:
        """The class that the stage's own config names."""
        folder = repository / stages[stage] / "1" / "weights"
        config = json.loads((folder / "config.json").read_text())
        name = config.get("_class_name") or config["architectures"][0]
        return getattr(library, name).from_pretrained(folder, dtype=dtype).eval()

    return {
        "transformer": load(diffusers, "transformer"),
        "vae": load(diffusers, "vae_decoder"),
        "text_encoder": _with_token_types(load(transformers, "text_encoder")),
    }


def _with_token_types(encoder: Any) -> Any:
    """As served: with the positions of pictures, which diffusers 0.42 drops on the way."""
    forward = encoder.forward

    def with_token_types(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("image_grid_thw") is not None:
            is_image = kwargs["input_ids"] == encoder.config.image_token_id
            kwargs["mm_token_type_ids"] = is_image.int()
        return forward(*args, **kwargs)

    encoder.forward = with_token_types
    return encoder


def _set_condition_areas(manifest: dict[str, Any]) -> None:
    """Areas to which the edit pipeline scales its references; module constants in diffusers."""
    areas = manifest.get("condition_areas")
    if areas is None:
        return
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as edit_plus

    edit_plus.CONDITION_IMAGE_SIZE = areas["text_encoder"]
    edit_plus.VAE_IMAGE_SIZE = areas["vae"]
