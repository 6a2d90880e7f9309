"""Pictures from a running Triton, asked for directly: no gateway in between."""

from __future__ import annotations

import json
import queue
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from export_scripts.export_errors import ExportError

Array = npt.NDArray[Any]
_TIMEOUT_S = 600.0


def paint(url: str, model: str, inputs: dict[str, Array]) -> npt.NDArray[np.uint8]:
    """Run one request of a pipeline model.

    Args:
        url: host:port of Triton's gRPC.
        model: a pipeline model.
        inputs: tensors by name, as in the model's config.

    Raises:
        ExportError: the server failed, cannot be reached, or took longer than 10 minutes.
    """
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client = triton.InferenceServerClient(url)
    client.start_stream(lambda result, error: answers.put((result, error)))
    # Canceled only when there is no picture: canceling while Triton writes the last answer leaves
    # the request counted, and the model's version could not be unloaded.
    done = False
    try:
        client.async_stream_infer(model, [_tensor(name, a) for name, a in inputs.items()])
        picture = _picture(model, answers)
        done = True
        return picture
    finally:
        client.stop_stream(cancel_requests=not done)
        client.close()


def _picture(model: str, answers: queue.Queue[tuple[Any, Any]]) -> npt.NDArray[np.uint8]:
    while True:
        try:
            result, error = answers.get(timeout=_TIMEOUT_S)
        except queue.Empty:
            raise ExportError(f"{model} sent nothing for {_TIMEOUT_S:.0f} s.") from None
        if error is not None:
            raise ExportError(f"{model} failed: {error}")
        event = json.loads(result.as_numpy("EVENT")[0])
        if event["event"] == "image":
            return np.asarray(result.as_numpy("IMAGE"), np.uint8)


def _tensor(name: str, value: Array) -> Any:
    tensor = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
    tensor.set_data_from_numpy(value)
    return tensor
