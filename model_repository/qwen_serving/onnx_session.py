"""An ONNX graph in ONNX Runtime, on the device that Triton gave the instance; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[Any]
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "Available memory of", "out of memory")


class OnnxSession:
    """A loaded graph with one output."""

    def __init__(self, graph: Path, args: Mapping[str, str]) -> None:
        """Load a graph, with the weights beside it if it has any.

        Args:
            graph: `.onnx` file.
            args: as Triton hands them to `initialize`.

        Raises:
            FileNotFoundError: there is no graph.
            RuntimeError: the instance is on a GPU that ONNX Runtime cannot use.
        """
        if not graph.exists():
            raise FileNotFoundError(
                f"engine onnx needs {graph.name} in version {graph.parent.name}"
            )
        providers = _providers(args)
        options = onnxruntime.SessionOptions()
        # Between passes: otherwise threads wait busily for the next one, some 25 ms for each pass.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=providers)
        if len(providers) > len(self._session.get_providers()):
            raise RuntimeError(
                "the instance is on a GPU, which this onnxruntime cannot use; "
                "install onnxruntime-gpu or set KIND_CPU"
            )
        self.inputs: dict[str, list[Any]] = {
            entry.name: entry.shape for entry in self._session.get_inputs()
        }
        """Shapes by name; an axis that may have any length is a string."""
        self.output: str = self._session.get_outputs()[0].name

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """One forward pass."""
        result: Array = self._session.run([self.output], dict(inputs))[0]
        return result


def read_array(tensor: Any) -> Array:
    """A Triton tensor as a NumPy array; one in GPU memory is copied."""
    if tensor.is_cpu():
        return np.asarray(tensor.as_numpy())
    from qwen_serving.tensors import from_triton

    copied: Array = from_triton(tensor).cpu().numpy()
    return copied


def is_out_of_memory(error: Exception) -> bool:
    """ONNX Runtime has no class of its own for it."""
    return any(sign in str(error) for sign in _OUT_OF_MEMORY)


def _providers(args: Mapping[str, str]) -> list[Any]:
    if args["model_instance_kind"] != "GPU":
        return ["CPUExecutionProvider"]
    device = {"device_id": int(args["model_instance_device_id"])}
    return [("CUDAExecutionProvider", device), "CPUExecutionProvider"]
