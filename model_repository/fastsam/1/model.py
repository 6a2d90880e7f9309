"""FastSAM with ONNX Runtime inside the Python backend, for servers without their own."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

OUTPUTS = ("DETECTIONS", "PROTOTYPES", "IMAGE_SIZE")


class TritonPythonModel:
    """IMAGES uint8 [H, W, 3] -> DETECTIONS [K, 37], PROTOTYPES [32, H/4, W/4], IMAGE_SIZE [1]."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load `model.onnx` of this version, on the GPU where the instance has one."""
        options = onnxruntime.SessionOptions()
        # Denormals of an untrained or pruned net make convolutions several times slower.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        providers: list[Any] = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            device = {"device_id": int(args["model_instance_device_id"])}
            providers.insert(0, ("CUDAExecutionProvider", device))
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One forward pass for the whole dynamic batch."""
        pictures = [
            pb_utils.get_input_tensor_by_name(request, "IMAGES").as_numpy() for request in requests
        ]
        try:
            outputs = self._session.run(OUTPUTS, {"IMAGES": np.concatenate(pictures)})
        except Exception as error:
            logging.getLogger(__name__).exception("fastsam failed")
            failure = pb_utils.TritonError(str(error), pb_utils.TritonError.INTERNAL)
            return [pb_utils.InferenceResponse(error=failure) for _ in requests]
        responses, start = [], 0
        for picture in pictures:
            rows = slice(start, start + len(picture))
            start = rows.stop
            tensors = [
                pb_utils.Tensor(name, value[rows])
                for name, value in zip(OUTPUTS, outputs, strict=True)
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses
