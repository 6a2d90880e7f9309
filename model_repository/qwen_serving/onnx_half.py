"""A half of the VAE in ONNX Runtime, where `retouch-export` left a graph: no torch is loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

logger = logging.getLogger(__name__)


class TritonPythonModel:
    """One input, one output, requests of one shape: Triton's batcher sees to that."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load `model.onnx` of this version, on the GPU where the instance has one."""
        providers: list[Any] = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            device = {"device_id": int(args["model_instance_device_id"])}
            providers.insert(0, ("CUDAExecutionProvider", device))
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(path, providers=providers)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One forward pass for the whole dynamic batch."""
        arrays = [
            pb_utils.get_input_tensor_by_name(request, self._input).as_numpy()
            for request in requests
        ]
        try:
            result = self._session.run([self._output], {self._input: np.concatenate(arrays)})[0]
        except Exception as error:
            logger.exception("a batch failed")
            failure = pb_utils.TritonError(str(error), pb_utils.TritonError.INTERNAL)
            return [pb_utils.InferenceResponse(error=failure) for _ in requests]
        ends = np.cumsum([len(array) for array in arrays])[:-1]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(self._output, part)])
            for part in np.split(result, ends)
        ]
