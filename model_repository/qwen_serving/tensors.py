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
    """All inputs of a request by name, on `device`; a string as its UTF-8 bytes, (1, n).

    They may alias the request's memory: clone what must outlive the request.
    """
    return {tensor.name(): from_triton(tensor).to(device) for tensor in request.inputs()}


def from_triton(tensor: Any) -> torch.Tensor:
    """View a Triton tensor through DLPack; its device is kept."""
    if not tensor.is_cpu():
        return torch.utils.dlpack.from_dlpack(tensor)
    array = tensor.as_numpy()
    if array.dtype.kind not in "OS":
        return torch.from_numpy(np.ascontiguousarray(array))
    if array.size != 1:
        raise ValueError(f"{tensor.name()} holds 1 string, got {array.size}")
    return torch.tensor(list(array.item()), dtype=torch.uint8)[None]


def to_triton(name: str, value: torch.Tensor | str) -> Any:
    """Wrap a torch tensor, made contiguous first, as DLPack asks; or a string, [1, 1]."""
    if isinstance(value, str):
        return pb_utils.Tensor(name, np.array([[value.encode()]], object))
    return pb_utils.Tensor.from_dlpack(name, value.detach().contiguous())


def text_of(tensor: torch.Tensor) -> str:
    """The string whose UTF-8 bytes a tensor holds."""
    return bytes(tensor.flatten().tolist()).decode("utf-8")
