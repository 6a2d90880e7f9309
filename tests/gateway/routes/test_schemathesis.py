"""The whole OpenAPI document against the gateway: no 5xx, every answer fits its schema.

Bounded by the number of examples. Nothing here knows a route: what is added is tested.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import serve, serve_on_a_port
from tests.gateway.front_end.conftest import submission
from tests.odd_pictures import photo


def no_fault(context: Any, response: Any, case: Any) -> bool | None:
    """No 5xx, but for a deadline too short to keep, which the request set itself."""
    if response.status_code == 504 and response.json()["code"] == "deadline_exceeded":
        return None
    return not_a_server_error(context, response, case)


CHECKS = [
    no_fault,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
BOUNDED = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def in_a_thread(data_dir: Path) -> Iterator[str]:
    """The address of a gateway that runs beside the test, which blocks."""
    started, ended = threading.Event(), threading.Event()
    address: list[str] = []

    async def run() -> None:
        async with (
            serve(data_dir, FakeBackend(), retry_grace_s=0.1) as gateway,
            serve_on_a_port(gateway) as client,
        ):
            address.append(str(client.base_url))
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(30)
    try:
        yield address[0]
    finally:
        ended.set()
        thread.join(30)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with in_a_thread(tmp_path_factory.mktemp("data")) as url:
        document = schemathesis.openapi.from_url(f"{url}/openapi.json")
        # It answers 501, as it says.
        yield document.exclude(path="/v1/images/variations")


def test_every_operation_answers_as_described(api: Any) -> None:
    failures: list[str] = []
    for result in api.get_all_operations():
        operation = result.ok()

        @BOUNDED
        @given(case=operation.as_strategy())
        def call(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, timeout=30)

        try:
            call()
        except (Exception, BaseExceptionGroup) as error:
            failures.append(f"{operation.label}: {error!r} {getattr(error, 'exceptions', '')}")
    assert not failures, "\n\n".join(failures)


def test_calls_in_a_row_answer_as_described(api: Any) -> None:
    """Ids from one answer go into the next request."""

    followed: Counter[str] = Counter()

    class Story(api.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            if case.operation.label == "POST /v1/files":
                case.body = {"file": photo()}  # random bytes are never a picture
            if case.operation.label == "POST /api/generate/async":
                case.body = submission()
            if case.operation.label == "POST /v1/jobs" and case.media_type == "application/json":
                case.body = {"task": "generate", "prompt": "a cat"}

        def validate_response(self, response: Any, case: Any, additional_checks: Any = ()) -> None:
            case.validate_response(response, checks=CHECKS)
            followed[f"{case.operation.label} {response.status_code}"] += 1

    Story.run(settings=settings(BOUNDED, max_examples=40, stateful_step_count=8))
    assert followed["GET /v1/files/{file_id} 200"], followed
    assert followed["GET /v1/jobs/{job_id} 200"] + followed["GET /v1/jobs/{job_id}/events 200"]
    assert followed["GET /api/generate/status/{task_id} 200"], followed
