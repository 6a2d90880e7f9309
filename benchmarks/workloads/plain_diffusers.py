"""The served checkpoints in plain diffusers, in this process: serving without a server.

torch and diffusers are imported on first use, so that a process that only asks another one to
paint goes without them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.workloads.paint_jobs import PaintJob
from gateway.painting.generation import TASK_MODELS


def paint(repository: Path, device: str, job: PaintJob) -> tuple[float, npt.NDArray[np.uint8]]:
    """Run one job; the seconds of the pipeline's call, and the picture."""
    from export_scripts.plain_pipeline import load_pipeline

    pipeline = load_pipeline(repository, TASK_MODELS[job.task], device=device)
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
