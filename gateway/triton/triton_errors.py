"""Triton's and gRPC's errors as ours: one mapper for all three ways they arrive.

Unary calls raise `InferenceServerException` with a status; a broken stream raises
`grpc.RpcError`; an error inside a stream is a text without a status, which the model files
start with a code in brackets. What a client sees holds no path of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from tritonclient.utils import InferenceServerException

from gateway.errors import (
    DoesNotFitError,
    InferenceCanceledError,
    InferenceError,
    InferenceTimeoutError,
    InvalidRequestError,
    ModelUnavailableError,
    OverloadedError,
    PayloadTooLargeError,
    RetouchError,
)

BACKEND_DIED = "backend_died"
"""Code of the error that says a model's process was killed."""
NO_VERSION = "no_version"
"""Code of the error that says the repository has nothing to load for a model."""
_BRACKETED = re.compile(r"^(?:in ensemble[^,]*, )?\[(\w+)\] (.*)", re.DOTALL)
_SENTENCES: dict[str, tuple[type[RetouchError], str]] = {
    "DEADLINE_EXCEEDED": (InferenceTimeoutError, "Model {model} did not answer in time."),
    "CANCELLED": (InferenceCanceledError, "The request to model {model} was canceled."),
    "CANCELED": (InferenceCanceledError, "The request to model {model} was canceled."),
    "RESOURCE_EXHAUSTED": (PayloadTooLargeError, "The request is too large for model {model}."),
}
_PATH = re.compile(r"(?:/[\w.+-]+){2,}/?")


@contextmanager
def translated(model: str) -> Iterator[None]:
    """Raise our error for whatever the model server or the channel raises inside."""
    try:
        yield
    except (InferenceServerException, grpc.RpcError) as error:
        raise translate(error, model) from error


def translate(error: Exception, model: str) -> RetouchError:
    """The error of ours that stands for `error`, raised while `model` was asked."""
    status, text = _status_and_text(error)
    bracketed = _BRACKETED.match(text)
    if bracketed:
        status, text = bracketed.group(1).upper(), bracketed.group(2)
    if "is not healthy" in text:
        sentence = f"The process of model {model} died; it is being restarted. Try again."
        return ModelUnavailableError(sentence, code=BACKEND_DIED)
    if "Server not ready" in text:  # a stage asked by its pipeline while Triton starts or ends
        return _unavailable(text, model)
    if "at least one version must be available" in text:
        sentence = f"Model {model} has no version in the repository; export one and promote it."
        return ModelUnavailableError(sentence, code=NO_VERSION)
    return _by_status(status, text, model)


def _by_status(status: str, text: str, model: str) -> RetouchError:
    if status == "DOES_NOT_FIT":
        return DoesNotFitError(_presentable(text))
    if status == "OVERLOADED":
        return OverloadedError(f"Model {model} is busy: {_presentable(text)}.")
    if status == "UNAVAILABLE":
        return _unavailable(text, model)
    if "unknown model" in text or status == "NOT_FOUND":
        return ModelUnavailableError(f"Model {model} is not loaded.")
    if status in ("INVALID_ARGUMENT", "INVALID_REQUEST"):
        return InvalidRequestError(f"Model {model} refused the request: {_presentable(text)}")
    cls, sentence = _SENTENCES.get(status, (InferenceError, ""))
    return cls(sentence.format(model=model) or f"Model {model} failed: {_presentable(text)}")


def _unavailable(text: str, model: str) -> RetouchError:
    """Triton refuses with this status too; only the text tells which of them it is."""
    if "maximum queue size" in text:
        return OverloadedError(f"The queue of model {model} is full. Try again later.")
    if "timeout expired" in text:
        return InferenceTimeoutError(f"The request waited too long for model {model}.")
    return ModelUnavailableError("The model server cannot be reached; it may be restarting.")


def _status_and_text(error: Exception) -> tuple[str, str]:
    if isinstance(error, InferenceServerException):
        return str(error.status() or "").removeprefix("StatusCode."), str(error.message())
    code = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    details = error.details() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else ""
    return (code.name if code is not None else "UNAVAILABLE"), str(details or error)


def _presentable(text: str) -> str:
    """The first line, without the server's paths."""
    lines = text.strip().splitlines() or ["no reason was given"]
    return _PATH.sub("...", lines[0])[:300]
