"""A half of the VAE in ONNX Runtime: no torch is loaded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from qwen_serving.onnx_session import Array, read_array
from qwen_serving.onnx_stage import OnnxStage
from qwen_serving.stage_settings import Bucket
from qwen_serving.warm_up import latents_example, picture_example


class TritonPythonModel(OnnxStage):
    """One input, one output; a request may hold several items."""

    def example(self, bucket: Bucket) -> dict[str, Array]:
        """A picture or latents, by what the graph takes."""
        if self._input == "IMAGE":
            return picture_example(bucket)
        return latents_example(bucket, channels=self.session.inputs[self._input][1])

    def read(self, request: Any) -> dict[str, Array]:
        """The graph's one input."""
        tensor = pb_utils.get_input_tensor_by_name(request, self._input)
        if tensor is None:
            raise ValueError(f"a request needs {self._input}")
        return {self._input: read_array(tensor)}

    def group_key(self, inputs: dict[str, Array]) -> Hashable:
        """Pictures or latents of one size."""
        return inputs[self._input].shape[1:]

    def run(self, group: Sequence[dict[str, Array]]) -> list[dict[str, Array]]:
        """One forward pass."""
        arrays = [inputs[self._input] for inputs in group]
        result = self.session.run({self._input: np.concatenate(arrays)})
        ends = np.cumsum([len(array) for array in arrays])[:-1]
        return [{self.session.output: part} for part in np.split(result, ends)]

    @property
    def _input(self) -> str:
        return next(iter(self.session.inputs))
