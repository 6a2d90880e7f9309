"""The pipeline models: a job in, step events and a picture out, one thread per job.

A thread spends its time waiting for stage models, where the steps of all jobs meet in
Triton's dynamic batchers. That is continuous batching of diffusion without a scheduler here.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from qwen_serving import memory_estimate
from qwen_serving.admission import Admission, Memory, graphics_memory, main_memory
from qwen_serving.job_errors import (
    DeadlineExceededError,
    JobCanceledError,
    JobRefusedError,
    StageError,
)
from qwen_serving.job_queue import JobQueue, QueuedJob
from qwen_serving.job_request import JobRequest, check_model, read_request

if TYPE_CHECKING:
    from qwen_serving.workshop import Workshop

logger = logging.getLogger(__name__)


class TritonPythonModel:
    """Decoupled: every request gets EVENT responses (JSON), previews, then IMAGE.

    NUM_INFERENCE_STEPS 0 asks for no picture: the answer is the manifest, which makes it the
    canary of this model and the source of its capabilities.

    Importing diffusers takes seconds of CPU, most of what a start costs. It goes on in the
    background, at low priority so that the stage models come first; a job that comes before it
    is done waits for it.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the manifest; the rest is prepared in the background."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._parameters = {name: int(entry["string_value"]) for name, entry in parameters.items()}
        max_jobs = self._parameters["max_jobs"]
        folder = Path(args["model_repository"]) / args["model_version"] / "pipeline"
        self._shape = memory_estimate.CheckpointShape.load(folder)
        self._on_gpu = args["model_instance_kind"] == "GPU"
        device_index = int(args["model_instance_device_id"])
        self._jobs = JobQueue(
            max_running=max_jobs,
            max_waiting=self._parameters.get("max_waiting_jobs", 64),
            admission=Admission(lambda: self._memory(device_index)),
        )
        # One more request in flight per job: the unconditional half of a guided step.
        self._guidance = ThreadPoolExecutor(max_jobs, thread_name_prefix="guidance")
        self._workshop: Future[Workshop] = Future()
        threading.Thread(target=self._prepare, args=(folder, args), daemon=True).start()

    def execute(self, requests: Sequence[Any]) -> None:
        """Put each request in line and return at once."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                job = read_request(request)
                is_canary = job.num_inference_steps == 0
                if not is_canary:
                    check_model(job, self._shape.manifest)
            except Exception as error:
                _fail(sender, "invalid_request", str(error), pb_utils.TritonError.INVALID_ARG)
                continue
            if is_canary:
                self._answer_canary(sender)
                continue
            self._put_in_line(job, sender, request.timeout())

    def _put_in_line(self, job: JobRequest, sender: Any, timeout_us: int) -> None:
        deadline = time.monotonic() + timeout_us / 1e6 if timeout_us else None

        def check() -> None:
            if sender.is_cancelled():
                raise JobCanceledError
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineExceededError(f"the job was not done within {timeout_us / 1e6:g} s")

        queued = QueuedJob(
            run=lambda: self._run(job, sender, check),
            fail=lambda error: _end(sender, error),
            is_canceled=sender.is_cancelled,
            still_waits=lambda: _send(sender, {"event": "waiting"}),
            what=memory_estimate.describe(job),
            priority=job.priority,
            need_bytes=memory_estimate.job_bytes(
                self._shape,
                job,
                number_bytes=2 if self._on_gpu else 4,
                tiling_min_side=self._parameters.get("tiling_min_side", 0),
            ),
            deadline=deadline,
        )
        try:
            self._jobs.put(queued)
        except JobRefusedError as error:
            _end(sender, error)

    def _memory(self, device_index: int) -> Memory:
        limit = self._parameters.get("memory_limit_bytes", 0)
        if limit:
            return Memory(limit, limit)
        return graphics_memory(device_index) if self._on_gpu else main_memory()

    def _prepare(self, folder: Path, args: Mapping[str, str]) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        try:
            from qwen_serving.workshop import Workshop

            self._workshop.set_result(Workshop.load(folder, args, self._guidance))
        except BaseException as error:
            logger.exception("the pipeline cannot be prepared")
            self._workshop.set_exception(error)

    def _answer_canary(self, sender: Any) -> None:
        failure = self._workshop.exception() if self._workshop.done() else None
        if failure is not None:
            _fail(sender, "backend_error", str(failure), pb_utils.TritonError.INTERNAL)
            return
        _send(sender, {"event": "manifest", **self._shape.manifest}, final=True)

    def _run(self, request: JobRequest, sender: Any, check: Callable[[], None]) -> None:
        def emit(
            event: dict[str, Any],
            image: npt.NDArray[np.uint8] | None = None,
            preview: npt.NDArray[np.uint8] | None = None,
            latents: npt.NDArray[np.float32] | None = None,
        ) -> None:
            tensors = {"IMAGE": image, "PREVIEW": preview, "LATENTS": latents}
            _send(sender, event, tensors, final=image is not None)

        try:
            self._workshop.result().run(request, check, emit)
        except Exception as error:
            _end(sender, error)

    def finalize(self) -> None:
        """Wait for the jobs that run; queued ones are dropped and end with their requests."""
        self._jobs.close()
        self._guidance.shutdown(wait=True)


def _send(
    sender: Any,
    event: dict[str, Any],
    outputs: Mapping[str, npt.NDArray[Any] | None] | None = None,
    *,
    final: bool = False,
) -> None:
    tensors = [pb_utils.Tensor("EVENT", np.array([json.dumps(event).encode()], object))]
    for name, array in (outputs or {}).items():
        if array is not None:
            tensors.append(pb_utils.Tensor(name, np.ascontiguousarray(array)))
    flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if final else 0
    sender.send(pb_utils.InferenceResponse(tensors), flags=flags)


def _end(sender: Any, error: Exception) -> None:
    """End a job with what stopped it."""
    if isinstance(error, JobCanceledError):
        _fail(sender, "canceled", "canceled", pb_utils.TritonError.CANCELLED)
    elif isinstance(error, JobRefusedError):
        _fail(sender, error.code, str(error), pb_utils.TritonError.UNAVAILABLE)
    elif isinstance(error, StageError):
        _fail(sender, "backend_error", str(error), pb_utils.TritonError.INTERNAL)
    else:
        logger.error("a job failed", exc_info=error)
        message = f"{type(error).__name__}: {error}"
        _fail(sender, "backend_error", message, pb_utils.TritonError.INTERNAL)


def _fail(sender: Any, code: str, message: str, status: int) -> None:
    """End with an error; in a stream the client sees the text alone, so the code leads it."""
    error = pb_utils.TritonError(f"[{code}] {message}", status)
    response = pb_utils.InferenceResponse(error=error)
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
