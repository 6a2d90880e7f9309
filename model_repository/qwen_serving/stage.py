"""A stage model in torch: weights in a diffusers or transformers folder, one item per request."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt
import torch

from qwen_serving.batched_model import BatchedModel
from qwen_serving.precision import check_precision, dtype_of, quantise
from qwen_serving.stage_settings import Bucket, StageSettings, StageSettingsError
from qwen_serving.tensors import device_of, inputs_of, to_triton
from qwen_serving.warm_up import Example, warm_up

Tensors = dict[str, torch.Tensor]


class Stage(BatchedModel[torch.Tensor]):
    """Base of the torch stages; a subclass loads a network and runs one group."""

    quantised_layers: ClassVar[str | None] = None
    """Pattern for the names of the layers that fp8 and int8 apply to; None where none may."""
    compiles: ClassVar[bool] = False
    """Whether `compile` may be set."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the weights of this version onto the instance's device and run the warm-up.

        Raises:
            ValueError: `stage.json` asks for what this stage or device cannot do.
            WarmUpError: a pass of the warm-up failed.
        """
        super().initialize(args)
        self.device = device_of(args)
        version = Path(args["model_repository"]) / args["model_version"]
        self.settings = StageSettings.read(version)
        quantises = self.quantised_layers is not None
        check_precision(self.settings.precision, self.device, quantises=quantises)
        if self.settings.compile and not self.compiles:
            raise StageSettingsError("stage.json: compile is for the transformers alone; got true")
        self.dtype = dtype_of(self.settings.precision, self.device)
        with torch.inference_mode():
            self.load(version / "weights")
        warm_up(self, self.buckets(), self._batches_on_device)

    def place(self, network: Any) -> Any:
        """Quantise a loaded network where it is asked for, and put it onto the device."""
        if self.quantised_layers is not None:
            quantise(network, self.settings.precision, self.device, layers=self.quantised_layers)
        return network.eval().to(self.device)

    def buckets(self) -> tuple[Bucket, ...]:
        """Sizes of the warm-up."""
        return self.settings.warm_up

    def batches(self, bucket: Bucket) -> list[list[Example]]:  # noqa: ARG002
        """What the warm-up runs: lists of requests that share a pass."""
        return []

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

    def _batches_on_device(self, bucket: Bucket) -> list[list[Tensors]]:
        return [
            [
                {name: torch.from_numpy(array).to(self.device) for name, array in one.items()}
                for one in batch
            ]
            for batch in self.batches(bucket)
        ]

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
