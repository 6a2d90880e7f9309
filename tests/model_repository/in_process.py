"""Model files run in this process, as Triton's stub runs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.model_repository.backend_utils import InferenceRequest, InferenceResponse, Tensor


def load(model: Any, folder: Path, **parameters: object) -> Any:
    """Initialize a model on the CPU from the version 1 in `folder`; parameters of its config."""
    config = {name: {"string_value": str(value)} for name, value in parameters.items()}
    arguments = {
        "model_repository": str(folder),
        "model_version": "1",
        "model_name": folder.name,
        "model_config": json.dumps({"parameters": config}),
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    }
    # A session that flushes denormals to zero makes the thread that opens it do so for good.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(model.initialize, arguments).result()
    return model


def request(
    *, canceled: bool = False, outputs: Sequence[str] = (), **arrays: np.ndarray
) -> InferenceRequest:
    tensors = [Tensor(name, np.asarray(array)) for name, array in arrays.items()]
    return InferenceRequest(inputs=tensors, requested_output_names=outputs, canceled=canceled)


def answer(response: InferenceResponse, output: str) -> np.ndarray:
    assert not response.has_error(), response.error().message()
    tensors = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    return tensors[output]


def answers(model: Any, requests: list[InferenceRequest], output: str) -> list[np.ndarray]:
    """Outputs of one dynamic batch."""
    return [answer(response, output) for response in model.execute(requests)]


def error_code(response: InferenceResponse) -> int | None:
    return response.error().code() if response.has_error() else None


def largest_difference(a: Any, b: Any) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return float(np.abs(a - b).max())
