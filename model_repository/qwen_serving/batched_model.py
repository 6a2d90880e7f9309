"""One network behind Triton's dynamic batcher, whatever its tensors are made of.

Triton hands `execute` whatever its queue held. Requests whose answer is known get it at once,
equal ones are computed once, the others are grouped by what the network can run together, and
failures are kept to the request at fault. A request with EXACT runs alone, so that its answer
does not depend on what else is in the queue.
"""

from __future__ import annotations

import gc
import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from qwen_serving.bounded_cache import BoundedCache, digest
from qwen_serving.stage_metrics import StageMetrics

Array = TypeVar("Array", bound=Any)
logger = logging.getLogger(__name__)


@dataclass
class _Task(Generic[Array]):
    """One computation and the requests that wait for it."""

    requests: list[int]
    inputs: dict[str, Array]
    group: Hashable
    exact: bool = False
    digest: bytes | None = None
    """None for what is not cached."""


@dataclass(frozen=True)
class _Failure:
    message: str
    out_of_memory: bool


class BatchedModel(ABC, Generic[Array]):
    """Base of the stage models.

    Parameters of `config.pbtxt`: `cache_bytes`, for answers, 0 (the default) for no cache;
    `cache_min_input_bytes`, below which a request is always computed.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the config; subclasses load their network besides."""
        config = json.loads(args["model_config"])
        parameters = config.get("parameters", {})
        self.parameters = {name: value["string_value"] for name, value in parameters.items()}
        self.cache: BoundedCache[dict[str, Array]] = BoundedCache(self.parameter("cache_bytes", 0))
        self.metrics = StageMetrics(args["model_name"])
        self._tells_cached = any(item["name"] == "CACHED" for item in config.get("output", []))

    def parameter(self, name: str, default: int) -> int:
        """A whole number from the config."""
        return int(self.parameters.get(name, default))

    @abstractmethod
    def read(self, request: Any) -> dict[str, Array]:
        """Inputs of a request by name; what it raises is the request's fault."""

    @abstractmethod
    def group_key(self, inputs: dict[str, Array]) -> Hashable:
        """Requests with equal keys run in one forward pass."""

    @abstractmethod
    def run(self, group: Sequence[dict[str, Array]]) -> list[dict[str, Array]]:
        """Run a group; one dictionary of outputs per request, in order."""

    @abstractmethod
    def to_numpy(self, array: Array) -> npt.NDArray[Any]:
        """For the digest."""

    @abstractmethod
    def own(self, array: Array) -> Array:
        """The array in memory of its own, not in that of the batch it came from."""

    @abstractmethod
    def to_triton(self, name: str, array: Array) -> Any:
        """An output tensor."""

    def compute(self, group: Sequence[dict[str, Array]]) -> list[dict[str, Array]]:
        """`run` and whatever must be around it."""
        return self.run(group)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether freeing memory may help."""
        return isinstance(error, MemoryError)

    def free_memory(self) -> None:
        """Give back what the framework holds in reserve."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer every request: Triton's entry point, one call per dynamic batch."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[Hashable, list[_Task[Array]]] = {}
        for task in self._without_known(self._admit(requests, responses), responses):
            groups.setdefault(task.group, []).append(task)
        for tasks in groups.values():
            self._run_group(tasks, responses)
        return responses

    def _admit(self, requests: Sequence[Any], responses: list[Any]) -> list[_Task[Array]]:
        tasks = []
        for index, request in enumerate(requests):
            if request.is_cancelled():
                responses[index] = _error("canceled before it ran", pb_utils.TritonError.CANCELLED)
                continue
            try:
                inputs = self.read(request)
                exact = self._take_exact(request, inputs)
                group = self.group_key(inputs)
                alone = ("exact", index) if exact else group
                tasks.append(_Task([index], inputs, alone, exact))
            except Exception as error:
                responses[index] = _error(str(error), pb_utils.TritonError.INVALID_ARG)
        return tasks

    def _take_exact(self, request: Any, inputs: dict[str, Array]) -> bool:
        """Whether the answer must not depend on other requests; no input of the network's."""
        held = inputs.pop("EXACT", None)
        if held is not None:
            return bool(self.to_numpy(held).any())
        tensor = pb_utils.get_input_tensor_by_name(request, "EXACT")
        return tensor is not None and bool(tensor.as_numpy().any())

    def _without_known(self, tasks: list[_Task[Array]], responses: list[Any]) -> list[_Task[Array]]:
        """Answer what the cache knows; equal requests of the batch become one task."""
        if not self.cache.max_bytes:
            return tasks
        left: list[_Task[Array]] = []
        by_digest: dict[bytes, _Task[Array]] = {}
        hits = 0
        for task in tasks:
            arrays = {name: self.to_numpy(array) for name, array in task.inputs.items()}
            if _size_bytes(arrays) < self.parameter("cache_min_input_bytes", 0):
                left.append(task)
                continue
            # What a batch computed must not answer an exact request, nor the other way round.
            mode = {"EXACT": np.array([True])} if task.exact else {}
            task.digest = digest({**arrays, **mode})
            known, twin = self.cache.get(task.digest), by_digest.get(task.digest)
            hits += known is not None or twin is not None
            if known is not None:
                self._answer(task, known, responses, cached=True)
            elif twin is not None:
                twin.requests += task.requests
            else:
                by_digest[task.digest] = task
                left.append(task)
        self.metrics.looked_up(hits=hits, misses=len(by_digest))
        return left

    def _run_group(self, tasks: list[_Task[Array]], responses: list[Any]) -> None:
        """Run together; if that fails, one by one, so that only the culprit fails."""
        results = self._try(tasks)
        if isinstance(results, _Failure):
            # The failed pass's tensors lived as long as its traceback: they are gone only now.
            if results.out_of_memory:
                self.cache.clear()
                gc.collect()
                self.free_memory()
            if len(tasks) > 1:
                for task in tasks:
                    self._run_group([task], responses)
                return
            for index in tasks[0].requests:
                responses[index] = _error(results.message, pb_utils.TritonError.INTERNAL)
            return
        for task, outputs in zip(tasks, results, strict=True):
            self._answer(task, outputs, responses)
            self._remember(task, outputs)

    def _try(self, tasks: list[_Task[Array]]) -> list[dict[str, Array]] | _Failure:
        started = time.perf_counter()
        try:
            results = self.compute([task.inputs for task in tasks])
        except Exception as error:
            if len(tasks) == 1:
                logger.exception("a request failed")
            if self.is_out_of_memory(error):
                return _Failure("out of memory; use a smaller size or fewer concurrent jobs", True)
            return _Failure(f"{type(error).__name__}: {error}", False)
        rows = sum(len(next(iter(task.inputs.values()))) for task in tasks)
        self.metrics.ran(rows=rows, seconds=time.perf_counter() - started)
        return results

    def _answer(
        self,
        task: _Task[Array],
        outputs: dict[str, Array],
        responses: list[Any],
        *,
        cached: bool = False,
    ) -> None:
        """Answer all requests of a task; those behind the first were spared their own pass."""
        for index in task.requests:
            tensors = [self.to_triton(name, array) for name, array in outputs.items()]
            if self._tells_cached:
                spared = cached or index != task.requests[0]
                flags = np.full((len(next(iter(outputs.values()))), 1), spared, np.uint8)
                tensors.append(pb_utils.Tensor("CACHED", flags))
            responses[index] = pb_utils.InferenceResponse(tensors)

    def _remember(self, task: _Task[Array], outputs: dict[str, Array]) -> None:
        size_bytes = _size_bytes(outputs)
        if task.digest is not None and size_bytes <= self.cache.max_bytes:
            kept = {name: self.own(array) for name, array in outputs.items()}
            self.cache.put(task.digest, kept, size_bytes)


def _size_bytes(arrays: Mapping[str, Any]) -> int:
    return sum(int(array.nbytes) for array in arrays.values())


def _error(message: str, code: int) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
