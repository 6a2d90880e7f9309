"""Stand-in for `triton_python_backend_utils`, which exists only inside Triton's Python stub.

As much of the module as our model files use. `InferenceRequest.exec` reaches the models in
`SERVED`, so a call between two models runs in this process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

TRITONSERVER_MEMORY_CPU = 0
TRITONSERVER_MEMORY_GPU = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
SERVED: dict[str, Any] = {}
"""Models by name, for calls between models."""


class Tensor:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self._name, self._array = name, array

    @classmethod
    def from_dlpack(cls, name: str, tensor: Any) -> Tensor:
        return cls(name, np.array(np.from_dlpack(tensor)))

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> np.ndarray:
        return self._array

    def is_cpu(self) -> bool:
        return True


class TritonError:
    INTERNAL, INVALID_ARG, UNAVAILABLE, CANCELLED = 1, 3, 4, 7

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class InferenceResponse:
    def __init__(
        self, output_tensors: Iterable[Tensor] = (), error: TritonError | None = None
    ) -> None:
        self._tensors, self._error = list(output_tensors), error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class PreferredMemory:
    def __init__(self, kind: int, device_id: int = 0) -> None:
        self.kind, self.device_id = kind, device_id


class InferenceRequest:
    def __init__(
        self,
        model_name: str = "",
        model_version: int = -1,
        inputs: Iterable[Tensor] = (),
        requested_output_names: Iterable[str] = (),
        preferred_memory: PreferredMemory | None = None,
        *,
        canceled: bool = False,
    ) -> None:
        self._model_name, self._inputs, self._canceled = model_name, list(inputs), canceled
        self._requested_output_names = list(requested_output_names)

    def requested_output_names(self) -> list[str]:
        return self._requested_output_names

    def inputs(self) -> list[Tensor]:
        return self._inputs

    def is_cancelled(self) -> bool:
        return self._canceled

    def exec(self) -> InferenceResponse:
        (response,) = SERVED[self._model_name].execute([self])
        return response


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor | None:
    return next((tensor for tensor in response.output_tensors() if tensor.name() == name), None)
