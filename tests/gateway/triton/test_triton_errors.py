"""Every error Triton and gRPC know is one of ours, in a sentence, without the server's paths."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import grpc.aio
import pytest
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
from gateway.triton.triton_errors import translate, translated

TEXT = (
    "failed in /opt/tritonserver/backends/x/y.py line 3\n"
    'Traceback (most recent call last):\n  File "/srv/models/qwen/1/model.py", line 1'
)


def unary(status: str, text: str = TEXT) -> Exception:
    return InferenceServerException(text, status=f"StatusCode.{status}")


def broken_stream(status: str, text: str = TEXT) -> Exception:
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode[status], empty, empty, details=text)


def in_stream(status: str, text: str = TEXT) -> Exception:
    return InferenceServerException(f"[{status}] {text}")


@pytest.mark.parametrize("status", grpc.StatusCode.__members__)
@pytest.mark.parametrize("arrives", [unary, broken_stream, in_stream])
def test_every_status_is_a_sentence_of_ours(
    arrives: Callable[[str], Exception], status: str
) -> None:
    error = translate(arrives(status), "qwen_image")
    assert isinstance(error, RetouchError)
    assert 400 <= error.status < 600
    assert error.message[0].isupper()
    assert " " in error.message
    for secret in ("/opt", "/srv", ".py", "Traceback", "StatusCode"):
        assert secret not in error.message


def test_a_job_that_does_not_fit_says_why() -> None:
    error = translate(in_stream("does_not_fit", "A 64x64 picture needs about 2.0 GiB."), "m")
    assert (type(error), error.status) == (DoesNotFitError, 507)
    assert error.message == "A 64x64 picture needs about 2.0 GiB."


def test_a_full_line_is_an_overload() -> None:
    error = translate(in_stream("overloaded", "64 jobs wait, the limit is 64"), "m")
    assert (type(error), error.status) == (OverloadedError, 503)
    assert error.message == "Model m is busy: 64 jobs wait, the limit is 64."


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        ("UNAVAILABLE", ModelUnavailableError),
        ("NOT_FOUND", ModelUnavailableError),
        ("INVALID_ARGUMENT", InvalidRequestError),
        ("DEADLINE_EXCEEDED", InferenceTimeoutError),
        ("CANCELLED", InferenceCanceledError),
        ("RESOURCE_EXHAUSTED", PayloadTooLargeError),
        ("INTERNAL", InferenceError),
        ("UNKNOWN", InferenceError),
    ],
)
@pytest.mark.parametrize("arrives", [unary, broken_stream, in_stream])
def test_a_status_means_the_same_however_it_arrives(
    arrives: Callable[[str], Exception], status: str, cls: type[RetouchError]
) -> None:
    assert type(translate(arrives(status), "qwen_image")) is cls


@pytest.mark.parametrize(
    ("text", "cls"),
    [
        ("Exceeds maximum queue size", OverloadedError),
        ("Request timeout expired", InferenceTimeoutError),
        ("failed to connect to all addresses", ModelUnavailableError),
    ],
)
def test_only_the_text_tells_what_unavailable_means(text: str, cls: type[RetouchError]) -> None:
    assert type(translate(unary("UNAVAILABLE", text), "m")) is cls


@pytest.mark.parametrize(
    ("text", "cls", "says"),
    [
        ("[INVALID_REQUEST] Sides must be multiples of 16.", InvalidRequestError, "multiples"),
        ("[invalid_argument] No prompt.", InvalidRequestError, "No prompt"),
        ("[CANCELED] stopped", InferenceCanceledError, "was canceled"),
        ("in ensemble 'qwen', [NOT_FOUND] x", ModelUnavailableError, "not loaded"),
        ("[SOMETHING_NEW] went wrong", InferenceError, "went wrong"),
        ("no brackets at all", InferenceError, "no brackets"),
        ("", InferenceError, "no reason"),
    ],
)
def test_a_text_of_a_stream_carries_its_code_in_brackets(
    text: str, cls: type[RetouchError], says: str
) -> None:
    error = translate(InferenceServerException(text), "m")
    assert type(error) is cls
    assert says in error.message
    assert "[" not in error.message


@pytest.mark.parametrize("arrives", [unary, broken_stream, in_stream])
def test_a_dead_process_is_told_from_other_faults(
    arrives: Callable[[str, str], Exception],
) -> None:
    error = translate(arrives("INTERNAL", "Stub process 'qwen_0_0' is not healthy."), "qwen_image")
    assert isinstance(error, ModelUnavailableError)
    assert error.code == "backend_died"
    assert "being restarted" in error.message


def test_a_stage_asked_while_triton_ends_is_away_and_not_at_fault() -> None:
    """A job that meets this is tried again, as with any model that is away."""
    text = "qwen_image_transformer: Error when running inference: Server not ready"
    error = translate(in_stream("INTERNAL", text), "qwen_image")
    assert isinstance(error, ModelUnavailableError)
    assert "restarting" in error.message


def test_an_unknown_model_is_not_loaded() -> None:
    error = translate(unary("INVALID_ARGUMENT", "Request for unknown model: 'm' x"), "m")
    assert error.message == "Model m is not loaded."


def test_the_context_manager_keeps_the_cause() -> None:
    cause = broken_stream("INTERNAL")
    with pytest.raises(InferenceError) as caught, translated("m"):
        raise cause
    assert caught.value.__cause__ is cause


def test_a_bare_rpc_error_is_an_unreachable_server() -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be reached"), translated("m"):
        raise grpc.RpcError


def test_what_is_not_tritons_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), translated("m"):
        raise ZeroDivisionError
