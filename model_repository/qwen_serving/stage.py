"""A stage model: one network behind Triton's dynamic batcher.

Triton hands `execute` whatever its queue held. A stage groups those requests by what the
network can run together, stacks each group, and keeps failures to the request at fault.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import triton_python_backend_utils as pb_utils

from qwen_serving.tensors import device_of, inputs_of, to_triton

Tensors = dict[str, torch.Tensor]
logger = logging.getLogger(__name__)


class Stage(ABC):
    """Base of the stage models; a subclass loads a network and runs one group."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the weights of this version onto the instance's device."""
        self.device = device_of(args)
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        folder = Path(args["model_repository"]) / args["model_version"] / "weights"
        with torch.inference_mode():
            self.load(folder)

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Load the network from a diffusers or transformers folder."""

    @abstractmethod
    def group_key(self, inputs: Tensors) -> Hashable:
        """Requests with equal keys run in one forward pass."""

    @abstractmethod
    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        """Run a group; one dictionary of outputs per request, in order, batch dimension 1."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer every request: Triton's entry point, one call per dynamic batch."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[Hashable, list[tuple[int, Tensors]]] = {}
        for index, request in enumerate(requests):
            if request.is_cancelled():
                responses[index] = _failure(
                    "canceled before it ran", pb_utils.TritonError.CANCELLED
                )
                continue
            try:
                inputs = inputs_of(request, self.device)
                _check_one_item(inputs)
                groups.setdefault(self.group_key(inputs), []).append((index, inputs))
            except Exception as error:
                responses[index] = _failure(str(error), pb_utils.TritonError.INVALID_ARG)
        for members in groups.values():
            self._run_group(members, responses)
        return responses

    def _run_group(self, members: list[tuple[int, Tensors]], responses: list[Any]) -> None:
        """Run together; if that fails, one by one, so that only the culprit fails."""
        try:
            with torch.inference_mode():
                results = self.run([inputs for _, inputs in members])
        except Exception as error:
            if len(members) > 1:
                for member in members:
                    self._run_group([member], responses)
                return
            logger.exception("a request failed")
            responses[members[0][0]] = _failure(_sentence(error), pb_utils.TritonError.INTERNAL)
            return
        for (index, _), outputs in zip(members, results, strict=True):
            tensors = [to_triton(name, value) for name, value in outputs.items()]
            responses[index] = pb_utils.InferenceResponse(tensors)


def _check_one_item(inputs: Tensors) -> None:
    sizes = {len(value) for value in inputs.values()}
    if sizes - {1}:
        raise ValueError(f"a request holds 1 item, got {max(sizes)}; the server batches requests")


def _failure(message: str, code: int) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def _sentence(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "out of GPU memory; use a smaller size or fewer concurrent jobs"
    return f"{type(error).__name__}: {error}"
