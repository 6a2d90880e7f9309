"""The pipeline models: a job in, step events and a picture out, one thread per job.

A thread spends its time waiting for stage models, where the steps of all jobs meet in
Triton's dynamic batchers. That is continuous batching of diffusion without a scheduler here.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from qwen_serving.job_errors import JobCanceledError, StageError
from qwen_serving.job_request import JobRequest, read_request

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
        max_jobs = int(parameters["max_jobs"]["string_value"])
        folder = Path(args["model_repository"]) / args["model_version"] / "pipeline"
        self._manifest: dict[str, Any] = json.loads((folder / "retouch.json").read_text())
        self._jobs = ThreadPoolExecutor(max_jobs, thread_name_prefix="job")
        # One more request in flight per job: the unconditional half of a guided step.
        self._guidance = ThreadPoolExecutor(max_jobs, thread_name_prefix="guidance")
        self._workshop: Future[Workshop] = Future()
        threading.Thread(target=self._prepare, args=(folder, args), daemon=True).start()

    def execute(self, requests: Sequence[Any]) -> None:
        """Hand each request to a thread and return at once."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                job = read_request(request)
            except Exception as error:
                _fail(sender, "invalid_request", str(error), pb_utils.TritonError.INVALID_ARG)
                continue
            if job.num_inference_steps == 0:
                self._answer_canary(sender)
                continue
            self._jobs.submit(self._run, job, sender)

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
        _send(sender, {"event": "manifest", **self._manifest}, final=True)

    def _run(self, request: JobRequest, sender: Any) -> None:
        def emit(
            event: dict[str, Any],
            image: npt.NDArray[np.uint8] | None = None,
            preview: npt.NDArray[np.uint8] | None = None,
        ) -> None:
            _send(sender, event, image=image, preview=preview, final=image is not None)

        try:
            self._workshop.result().run(request, sender.is_cancelled, emit)
        except JobCanceledError:
            _fail(sender, "canceled", "canceled", pb_utils.TritonError.CANCELLED)
        except StageError as error:
            _fail(sender, "backend_error", str(error), pb_utils.TritonError.INTERNAL)
        except Exception as error:
            logger.exception("a job failed")
            message = f"{type(error).__name__}: {error}"
            _fail(sender, "backend_error", message, pb_utils.TritonError.INTERNAL)

    def finalize(self) -> None:
        """Wait for the jobs that run; queued ones are dropped and end with their requests."""
        self._jobs.shutdown(wait=True, cancel_futures=True)
        self._guidance.shutdown(wait=True)


def _send(
    sender: Any,
    event: dict[str, Any],
    *,
    image: npt.NDArray[np.uint8] | None = None,
    preview: npt.NDArray[np.uint8] | None = None,
    final: bool = False,
) -> None:
    tensors = [pb_utils.Tensor("EVENT", np.array([json.dumps(event).encode()], object))]
    if image is not None:
        tensors.append(pb_utils.Tensor("IMAGE", np.ascontiguousarray(image)))
    if preview is not None:
        tensors.append(pb_utils.Tensor("PREVIEW", np.ascontiguousarray(preview)))
    flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if final else 0
    sender.send(pb_utils.InferenceResponse(tensors), flags=flags)


def _fail(sender: Any, code: str, message: str, status: int) -> None:
    """End with an error; in a stream the client sees the text alone, so the code leads it."""
    error = pb_utils.TritonError(f"[{code}] {message}", status)
    response = pb_utils.InferenceResponse(error=error)
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
