"""Single values and arrays of a Triton request, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils


def text_of(request: Any, name: str, default: str = "") -> str:
    """A string input of shape [1], or `default` when it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return default if tensor is None else tensor.as_numpy().reshape(-1)[0].decode("utf-8")


def number_of(request: Any, name: str, default: float) -> float:
    """A numeric input of shape [1], or `default` when it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return default if tensor is None else tensor.as_numpy().reshape(-1)[0].item()


def array_of(request: Any, name: str) -> npt.NDArray[Any] | None:
    """An input as a copy in NumPy, or None when it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else np.array(tensor.as_numpy())
