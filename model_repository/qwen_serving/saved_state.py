"""A job midway, as its client keeps it to go on from there after what it ran on died."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qwen_serving.request_values import array_of, text_of


@dataclass(frozen=True)
class SavedState:
    """After a step all that a job needs; the noise it began with follows from its seed."""

    step: int
    """Steps that are done, from 1."""
    latents: npt.NDArray[np.float32]
    """(S, C), packed as the pipeline has them."""
    of: str
    """Fingerprint of the checkpoint; another one does not go on from there."""


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """What tells a checkpoint from another one, by all its export says of it."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def read_saved(request: Any) -> SavedState | None:
    """The state that a request goes on from; None when it begins at the beginning.

    Raises:
        ValueError: one of its parts is missing or has another form.
    """
    told, latents = text_of(request, "RESUME"), array_of(request, "RESUME_LATENTS")
    if not told and latents is None:
        return None
    if not told or latents is None:
        raise ValueError("RESUME and RESUME_LATENTS come together")
    said = json.loads(told)
    if not isinstance(said, dict) or not said.keys() == {"step", "of"}:
        raise ValueError(f'RESUME is {{"step": number, "of": text}}, got {told[:80]!r}')
    step = said["step"]
    if not isinstance(step, int) or step < 1:
        raise ValueError(f"a job goes on behind step 1 or later, got {step!r}")
    return SavedState(step, latents, str(said["of"]))
