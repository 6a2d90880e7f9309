"""Log lines: whole, with ids, and without what people sent."""

from __future__ import annotations

import json
import logging
import re

import pytest

from gateway.observability.logs import JsonFormatter
from tests.gateway.conftest import Gateway, Keyed
from tests.gateway.front_end.conftest import b64, submission
from tests.gateway.log_watch import LogWatch
from tests.odd_pictures import photo


class Lines(logging.Handler):
    """Formats records the moment they come, while the ids are there."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"

    @property
    def objects(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def lines() -> Lines:
    handler = Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler  # type: ignore[misc]
    root.removeHandler(handler)
    root.setLevel(level)


async def test_a_request_is_one_line_with_its_id(gateway: Gateway, lines: Lines) -> None:
    await gateway.client.get("/v1/jobs/job_0", headers={"X-Request-Id": "r-1"})
    (line,) = [line for line in lines.objects if line.get("event") == "request"]
    assert line["request_id"] == "r-1"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/jobs/{job_id}", 404)
    assert line.keys() >= {"time", "level", "logger", "message", "duration_ms"}


async def test_a_jobs_line_has_its_id_and_its_requests(gateway: Gateway, lines: Lines) -> None:
    response = await gateway.client.post(
        "/v1/jobs",
        json={"task": "generate", "prompt": "a cat"},
        headers={"X-Request-Id": "r-2", "Prefer": "wait=20"},
    )
    (line,) = [line for line in lines.objects if line.get("event") == "job_ended"]
    assert (line["job_id"], line["request_id"]) == (response.json()["id"], "r-2")


async def test_the_watch_over_the_whole_run_sees_what_is_logged(
    gateway: Gateway, no_secret_in_any_log: LogWatch
) -> None:
    before = no_secret_in_any_log.records
    await gateway.client.get("/health/live")
    assert no_secret_in_any_log.records > before
    other = LogWatch()
    key = f"rt_{'0' * 12}_{'a' * 43}"
    other.handle(logging.LogRecord("gateway", logging.INFO, "", 1, key, None, None))
    assert other.leaks


async def test_a_fault_is_logged_with_its_trace_on_one_line(lines: Lines) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("x").exception("it\nbroke")
    assert "ZeroDivisionError" in str(lines.objects[-1]["exception"])


async def test_what_people_send_is_in_no_line(keyed: Keyed, lines: Lines) -> None:
    ann = keyed.headers("ann")
    prompt = "a zebra nobody may read of"
    url = "data:image/png;base64," + b64(photo())
    for path, body in (
        ("/v1/jobs", {"task": "edit", "prompt": prompt, "image": url, "mask": url}),
        ("/v1/jobs", {"task": "generate", "prompt": prompt}),
        ("/v1/images/generations", {"prompt": prompt, "n": "many"}),
        ("/v1/images/generations", {"prompt": prompt}),
        ("/v1/masks", {"image": url, "prompts": [{"points": [[-1, -1]]}]}),
        ("/api/generate/async", submission(prompt=prompt)),
        ("/api/generate/async", {"prompt": prompt}),
    ):
        await keyed.client.post(path, json=body, headers=ann)
        await keyed.client.post(path, json=body, headers={"Authorization": "Bearer rt_guess"})
    await keyed.client.get("/v1/jobs", headers=ann)
    assert len(lines.objects) > 14
    assert "zebra" not in lines.text
    assert b64(photo())[:24] not in lines.text
    assert not re.search(r"rt_\w", lines.text)
    assert "Bearer" not in lines.text
