"""Calls from a pipeline model to the stage models of the same server (BLS)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import triton_python_backend_utils as pb_utils

from qwen_serving.job_errors import StageError
from qwen_serving.tensors import from_triton, to_triton


def call_stage(
    model: str, inputs: Mapping[str, torch.Tensor | str], output: str, device: torch.device
) -> torch.Tensor:
    """Run one request on a stage model and wait for its one output.

    Blocks the calling thread only: other jobs' threads go on, and Triton's dynamic batcher
    merges what they ask for meanwhile.

    Raises:
        StageError: the stage failed, or its process died.
    """
    kind = (
        pb_utils.TRITONSERVER_MEMORY_GPU
        if device.type == "cuda"
        else pb_utils.TRITONSERVER_MEMORY_CPU
    )
    request = pb_utils.InferenceRequest(
        model_name=model,
        inputs=[to_triton(name, value) for name, value in inputs.items()],
        requested_output_names=[output],
        preferred_memory=pb_utils.PreferredMemory(kind, device.index or 0),
    )
    response = request.exec()
    if response.has_error():
        raise StageError(f"{model}: {response.error().message()}")
    # The response's memory is Triton's: keep a copy of our own.
    return from_triton(pb_utils.get_output_tensor_by_name(response, output)).to(device).clone()
