"""A half of the VAE in ONNX Runtime, where `retouch-export` left a graph: no torch is loaded."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import triton_python_backend_utils as pb_utils

from qwen_serving.batched_model import BatchedModel

Array = npt.NDArray[Any]


class TritonPythonModel(BatchedModel[Array]):
    """One input, one output; a request may hold several items."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load `model.onnx` of this version, on the GPU where the instance has one."""
        super().initialize(args)
        providers: list[Any] = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            device = {"device_id": int(args["model_instance_device_id"])}
            providers.insert(0, ("CUDAExecutionProvider", device))
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(path, providers=providers)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def read(self, request: Any) -> dict[str, Array]:
        """The graph's one input."""
        tensor = pb_utils.get_input_tensor_by_name(request, self._input)
        if tensor is None:
            raise ValueError(f"a request needs {self._input}")
        return {self._input: tensor.as_numpy()}

    def group_key(self, inputs: dict[str, Array]) -> Hashable:
        """Pictures or latents of one size."""
        return inputs[self._input].shape[1:]

    def run(self, group: Sequence[dict[str, Array]]) -> list[dict[str, Array]]:
        """One forward pass."""
        arrays = [inputs[self._input] for inputs in group]
        result = self._session.run([self._output], {self._input: np.concatenate(arrays)})[0]
        ends = np.cumsum([len(array) for array in arrays])[:-1]
        return [{self._output: part} for part in np.split(result, ends)]

    def to_numpy(self, array: Array) -> Array:
        """As it is."""
        return array

    def own(self, array: Array) -> Array:
        """A part of a batch keeps the whole batch alive; a copy does not."""
        return array.copy()

    def to_triton(self, name: str, array: Array) -> Any:
        """Copied to the server's memory by Triton itself."""
        return pb_utils.Tensor(name, array)
