"""Order, limits, deadlines and memory of a pipeline model in a real Triton."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import InferenceTimeoutError
from gateway.triton.triton_client import TritonBackend
from tests.acceptance.direct_jobs import small_request
from tests.acceptance.served import Served, eventually

ORDER = {"task": "generate", "size": "64x64", "num_inference_steps": 10}
LONG = ORDER | {"num_inference_steps": 100, "size": "256x256", "true_cfg_scale": 2}
PARAMETERS = {"max_jobs": 1, "max_waiting_jobs": 3, "memory_limit_bytes": 700 * 2**20}
"""So little memory that a small picture fits and one of 1024 x 1024 does not."""


@pytest.fixture(scope="module")
def narrow(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway over a Triton whose pipeline runs one job at a time, in little memory."""
    copy = tmp_path_factory.mktemp("narrow") / "model_repository"
    shutil.copytree(repository, copy)
    config = copy / "qwen_image" / "config.pbtxt"
    text = config.read_text()
    for name, value in PARAMETERS.items():
        text, count = re.subn(
            rf'(key: "{name}" value {{ string_value: )"\d+"', rf'\1"{value}"', text
        )
        assert count == 1
    config.write_text(text)
    served = Served(tmp_path_factory.mktemp("served"), model_repository=copy)
    try:
        served.wait_ready()
        served.finish(served.submit(**ORDER, prompt="warm up"))
        yield served
    finally:
        served.stop()


def cancel(gateway: Served, *jobs: dict[str, object]) -> None:
    for job in jobs:
        gateway.http.post(f"/v1/jobs/{job['id']}/cancel")


def running(gateway: Served) -> dict[str, object]:
    """A long job that has the pipeline's one place."""
    job = gateway.submit(**LONG, prompt="a long job")
    eventually(lambda: gateway.http.get(job["urls"]["self"]).json()["step"] > 0, timeout_s=40)
    return job


def in_tritons_line(gateway: Served, job: dict[str, object]) -> dict[str, object]:
    """The job when the gateway has handed it on."""
    eventually(
        lambda: gateway.http.get(f"/v1/jobs/{job['id']}").json()["status"] == "running",
        timeout_s=40,
    )
    time.sleep(0.2)  # for its request to arrive
    return job


def test_interactive_jobs_start_before_waiting_batch_jobs(narrow: Served) -> None:
    long = running(narrow)
    batch = in_tritons_line(narrow, narrow.submit(**ORDER, prompt="no hurry", priority="batch"))
    interactive = in_tritons_line(narrow, narrow.submit(**ORDER, prompt="now, please"))
    cancel(narrow, long)
    first, second = narrow.finish(interactive), narrow.finish(batch)
    assert (first["status"], second["status"]) == ("succeeded", "succeeded")
    assert first["completed_at"] < second["completed_at"]


def test_one_job_more_than_may_wait_is_refused_at_once(narrow: Served) -> None:
    long = running(narrow)
    waiting = [
        in_tritons_line(narrow, narrow.submit(**ORDER, prompt=f"waits {n}")) for n in range(3)
    ]
    refused = narrow.finish(narrow.submit(**ORDER, prompt="one more"))
    assert refused["error"]["code"] == "overloaded"
    assert refused["error"]["message"] == ("Model qwen_image is busy: 3 jobs wait, the limit is 3.")
    cancel(narrow, long)
    assert [narrow.finish(job)["status"] for job in waiting] == ["succeeded"] * 3


def test_a_job_that_never_fits_is_refused_with_the_figures(narrow: Served) -> None:
    job = narrow.finish(narrow.submit(task="generate", prompt="a wall", size="1024x1024"))
    assert (job["status"], job["error"]["code"]) == ("failed", "does_not_fit")
    assert re.fullmatch(
        r"A 1024x1024 picture needs about \d+\.\d GiB; 0\.7 GiB of 0\.7 GiB can be free for it\.",
        job["error"]["message"],
    )
    answer = narrow.http.get(job["urls"]["result"])
    assert (answer.status_code, answer.json()["code"]) == (507, "does_not_fit")
    assert narrow.finish(narrow.submit(**ORDER, prompt="a stone"))["status"] == "succeeded"


def test_a_job_past_its_deadline_fails_and_its_work_stops(gateway: Served) -> None:
    job = gateway.finish(gateway.submit(**LONG, prompt="too long", deadline_s=0.4))
    assert (job["status"], job["error"]["code"]) == ("failed", "deadline_exceeded")
    assert job["error"]["message"] == "The job was not finished within its deadline of 0.4 s."
    assert job["step"] < 100
    assert gateway.http.get(job["urls"]["result"]).status_code == 504
    time.sleep(0.5)
    before = gateway.statistics("qwen_image_transformer")[0]
    time.sleep(2)
    canaries = 2 / 0.5 + 2
    assert gateway.statistics("qwen_image_transformer")[0] - before <= canaries


@pytest.mark.parametrize("waits", [False, True], ids=["at work", "in line"])
async def test_the_pipeline_keeps_a_deadline_of_its_own(narrow: Served, waits: bool) -> None:
    """For those who ask Triton without the gateway."""
    long = running(narrow) if waits else None
    backend = TritonBackend(narrow.triton["grpc"], segmentation_timeout_s=9, stall_timeout_s=30)
    order = small_request(num_inference_steps=200, deadline_s=0.5)
    try:
        with pytest.raises(InferenceTimeoutError):
            async for _ in backend.paint(order):
                pass
    finally:
        await backend.close()
        if long is not None:
            cancel(narrow, long)
