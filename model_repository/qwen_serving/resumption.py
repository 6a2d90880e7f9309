"""Lets a diffusers pipeline begin behind a step that is done already.

The schedule of flow matching (Euler) has no memory: what follows a step depends on the latents
and the rest of the sigmas alone. So the pipeline prepares everything as at the beginning, its
noise included, and then has its latents exchanged and its first steps left out.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from qwen_serving.saved_state import SavedState


def begin_behind(pipeline: Any, saved: SavedState) -> None:
    """Change a pipeline of one job, whose scheduler is its own, before it is called."""
    _exchange_latents(pipeline, saved)
    if hasattr(pipeline, "get_timesteps"):  # inpainting: `strength` leaves out steps as well
        _shorten_timesteps(pipeline, saved.step)
    else:
        _shorten_schedule(pipeline.scheduler, saved.step)


def _exchange_latents(pipeline: Any, saved: SavedState) -> None:
    prepare = pipeline.prepare_latents

    def prepare_saved(*args: Any, **options: Any) -> Any:
        made = prepare(*args, **options)
        parts = made if isinstance(made, tuple) else (made,)
        latents = torch.from_numpy(saved.latents)[None].to(parts[0])
        if latents.shape != parts[0].shape:
            shapes = [tuple(tensor.shape[1:]) for tensor in (parts[0], latents)]
            raise ValueError(f"saved latents of this job are {shapes[0]}, got {shapes[1]}")
        return (latents, *parts[1:]) if isinstance(made, tuple) else latents

    pipeline.prepare_latents = prepare_saved


def _shorten_schedule(scheduler: Any, step: int) -> None:
    set_all = scheduler.set_timesteps

    @functools.wraps(set_all)  # diffusers looks at its signature
    def set_rest(*args: Any, **options: Any) -> None:
        set_all(*args, **options)
        scheduler.timesteps = scheduler.timesteps[step:]
        scheduler.sigmas = scheduler.sigmas[step:]

    scheduler.set_timesteps = set_rest


def _shorten_timesteps(pipeline: Any, step: int) -> None:
    get_all = pipeline.get_timesteps

    def get_rest(*args: Any, **options: Any) -> Any:
        timesteps, steps = get_all(*args, **options)
        scheduler = pipeline.scheduler
        scheduler.set_begin_index(scheduler.begin_index + step)
        return timesteps[step:], steps - step

    pipeline.get_timesteps = get_rest
