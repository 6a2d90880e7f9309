"""A stage model in torch: weights in a diffusers or transformers folder, one item per request."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from qwen_serving.batched_model import BatchedModel
from qwen_serving.tensors import device_of, inputs_of, to_triton

Tensors = dict[str, torch.Tensor]


class Stage(BatchedModel[torch.Tensor]):
    """Base of the torch stages; a subclass loads a network and runs one group."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the weights of this version onto the instance's device."""
        super().initialize(args)
        self.device = device_of(args)
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        folder = Path(args["model_repository"]) / args["model_version"] / "weights"
        with torch.inference_mode():
            self.load(folder)

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Load the network from a diffusers or transformers folder."""

    def read(self, request: Any) -> Tensors:
        """All inputs on the instance's device, each with batch dimension 1."""
        inputs = inputs_of(request, self.device)
        sizes = {len(value) for value in inputs.values()}
        if sizes - {1}:
            count = max(sizes)
            raise ValueError(f"a request holds 1 item, got {count}; the server batches requests")
        return inputs

    def compute(self, group: Sequence[Tensors]) -> list[Tensors]:
        """Run the group; what fails on the GPU fails here, where its requests are known."""
        with torch.inference_mode():
            results = self.run(group)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return results

    def to_numpy(self, array: torch.Tensor) -> npt.NDArray[Any]:
        """A copy where the tensor is on the GPU."""
        return array.cpu().numpy()

    def own(self, array: torch.Tensor) -> torch.Tensor:
        """On the same device."""
        return array.clone()

    def to_triton(self, name: str, array: torch.Tensor) -> Any:
        """Through DLPack, on the tensor's device."""
        return to_triton(name, array)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Torch has an error of its own for the GPU."""
        return isinstance(error, torch.OutOfMemoryError) or super().is_out_of_memory(error)

    def free_memory(self) -> None:
        """Blocks that torch's allocator keeps for later."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
