"""A stage model in ONNX Runtime: `model.onnx` in the version's folder; no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from qwen_serving.batched_model import BatchedModel
from qwen_serving.onnx_session import Array, OnnxSession, is_out_of_memory, read_array
from qwen_serving.stage_settings import Bucket, StageSettings
from qwen_serving.warm_up import warm_up


class OnnxStage(BatchedModel[Array]):
    """Base of the ONNX stages; a subclass says how requests become inputs of the graph."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the graph of this version and run the warm-up."""
        super().initialize(args)
        version = Path(args["model_repository"]) / args["model_version"]
        self.settings = StageSettings.read(version)
        self.session = OnnxSession(version / "model.onnx", args)
        self.load(version / "weights", args)
        warm_up(self, self.buckets(), lambda bucket: [[self.example(bucket)]])

    def load(self, folder: Path, args: Mapping[str, str]) -> None:
        """Load what there is besides the graph."""

    def buckets(self) -> tuple[Bucket, ...]:
        """Sizes of the warm-up."""
        return self.settings.warm_up

    @abstractmethod
    def example(self, bucket: Bucket) -> dict[str, Array]:
        """A request's inputs for the warm-up."""

    def read(self, request: Any) -> dict[str, Array]:
        """All inputs, each with batch dimension 1."""
        inputs = {tensor.name(): read_array(tensor) for tensor in request.inputs()}
        count = max(len(array) for array in inputs.values())
        if count != 1:
            raise ValueError(f"a request holds 1 item, got {count}; the server batches requests")
        return inputs

    def to_numpy(self, array: Array) -> Array:
        """As it is."""
        return array

    def own(self, array: Array) -> Array:
        """A part of a batch keeps the whole batch alive; a copy does not."""
        return array.copy()

    def to_triton(self, name: str, array: Array) -> Any:
        """Copied to the server's memory by Triton itself."""
        return pb_utils.Tensor(name, array)

    def is_out_of_memory(self, error: Exception) -> bool:
        """By its text."""
        return is_out_of_memory(error) or super().is_out_of_memory(error)
