"""Calls of one job to the stage models of the same server (BLS)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

from qwen_serving.job_errors import StageError
from qwen_serving.stage_name import StageName
from qwen_serving.stage_timings import StageTimings
from qwen_serving.tensors import from_triton, to_triton

CACHING_PARTS = ("text_encoder", "vae_encoder")
"""Parts whose stages keep answers, and say in CACHED whether one was kept."""


class StageCalls:
    """What the calls of a job have in common: its device, its exactness, its timings."""

    def __init__(
        self, device: torch.device, *, exact: bool = False, timings: StageTimings | None = None
    ) -> None:
        self.device = device
        self._exact = exact
        self._timings = timings or StageTimings()

    def run(
        self,
        part: str,
        stage: StageName,
        inputs: Mapping[str, torch.Tensor | str],
        output: str,
    ) -> torch.Tensor:
        """Run one request on the stage of a part and wait for its output; note what it took.

        Raises:
            StageError: the stage failed, or its process died.
        """
        started = time.perf_counter()
        tensors = [to_triton(name, value) for name, value in inputs.items()]
        if self._exact:
            tensors.append(pb_utils.Tensor("EXACT", np.ones((1, 1), bool)))
        told = "CACHED" if part in CACHING_PARTS else None
        response = call_stage(stage, tensors, [output, *filter(None, [told])], self.device)
        cached = pb_utils.get_output_tensor_by_name(response, told) if told else None
        self._timings.called(
            part,
            seconds=time.perf_counter() - started,
            cached=cached is not None and bool(from_triton(cached).any()),
        )
        # The response's memory is Triton's: keep a copy of our own.
        tensor = pb_utils.get_output_tensor_by_name(response, output)
        return from_triton(tensor).to(self.device).clone()


def call_stage(
    stage: StageName, tensors: list[Any], outputs: list[str], device: torch.device
) -> Any:
    """Run one request on a stage model; its response, whose tensors are on `device` if they can be.

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
        model_name=stage.model,
        model_version=stage.version,
        inputs=tensors,
        requested_output_names=outputs,
        preferred_memory=pb_utils.PreferredMemory(kind, device.index or 0),
    )
    response = request.exec()
    if response.has_error():
        raise StageError(f"{stage.model}: {response.error().message()}")
    return response
