"""The `lama` model's tensors: the one model that a repository may have or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton

from gateway.errors import InferenceError, ModelUnavailableError
from gateway.inference import PREFILL_MODEL
from gateway.triton.triton_errors import translated

_TIMEOUT_S = 30.0


async def fill(
    client: Any, image: npt.NDArray[np.uint8], hole: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Fill a hole, (H, W) with 255 in it, of a picture (H, W, 3).

    The model is loaded at its first use.

    Raises:
        ModelUnavailableError: the repository has no such model.
        InferenceError: it failed, or answered something else than a picture.
    """
    with translated(PREFILL_MODEL):
        if not await client.is_model_ready(PREFILL_MODEL):
            await _load(client)
        inputs = []
        for name, value in (("IMAGE", image), ("MASK", hole)):
            tensor = triton.InferInput(name, list(value.shape), "UINT8")
            tensor.set_data_from_numpy(np.ascontiguousarray(value))
            inputs.append(tensor)
        answer = await client.infer(PREFILL_MODEL, inputs, client_timeout=_TIMEOUT_S)
        filled = answer.as_numpy("FILLED")
    if filled is None or filled.shape != image.shape or filled.dtype != np.uint8:
        raise InferenceError(f"Model {PREFILL_MODEL} answered with no picture of its input's size.")
    return np.asarray(filled, np.uint8)


async def _load(client: Any) -> None:
    index = await client.get_model_repository_index(as_json=True)
    if PREFILL_MODEL not in {entry.get("name") for entry in index.get("models", [])}:
        raise ModelUnavailableError(f"The repository has no model {PREFILL_MODEL}.")
    await client.load_model(PREFILL_MODEL)
