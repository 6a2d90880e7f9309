"""Triton tensors as torch tensors and back, without a copy where the devices allow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils


def device_of(args: Mapping[str, str]) -> torch.device:
    """Where this instance runs: the GPU that Triton gave it, else the CPU."""
    if args["model_instance_kind"] == "GPU":
        return torch.device(f"cuda:{args['model_instance_device_id']}")
    return torch.device("cpu")


def inputs_of(request: Any, device: torch.device) -> dict[str, torch.Tensor]:
    """All numeric inputs of a request by name, on `device`.

    They may alias the request's memory: clone what must outlive the request.
    """
    return {tensor.name(): from_triton(tensor).to(device) for tensor in request.inputs()}


def from_triton(tensor: Any) -> torch.Tensor:
    """View a Triton tensor through DLPack; its device is kept."""
    if tensor.is_cpu():
        return torch.from_numpy(np.ascontiguousarray(tensor.as_numpy()))
    return torch.utils.dlpack.from_dlpack(tensor)


def to_triton(name: str, tensor: torch.Tensor) -> Any:
    """Wrap a torch tensor; it is made contiguous first, as DLPack asks."""
    return pb_utils.Tensor.from_dlpack(name, tensor.detach().contiguous())
