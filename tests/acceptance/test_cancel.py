"""Canceling a job stops it between two steps and leaves the others alone."""

import time

import pytest

from tests.acceptance.direct_jobs import DirectJob, run_jobs, small_request
from tests.acceptance.plain_diffusers import (
    difference,
    paint,
    paint_request,
    pixel_difference,
)
from tests.acceptance.served import Served, eventually

STEPS = 8


def step_of(gateway: Served, job: dict[str, object]) -> int:
    return int(gateway.http.get(f"/v1/jobs/{job['id']}").json()["step"])


def test_cancel_stops_within_two_steps(gateway: Served) -> None:
    job = gateway.submit(task="generate", prompt="a long job", num_inference_steps=100)
    eventually(lambda: step_of(gateway, job) >= 5, timeout_s=40)
    canceled = gateway.http.post(f"/v1/jobs/{job['id']}/cancel").json()
    at_cancel = gateway.statistics("qwen_image_transformer")[0]
    assert canceled["status"] == "canceled"
    assert canceled["step"] < 90
    canaries_per_s = 1 / 0.5
    time.sleep(3)
    later = gateway.statistics("qwen_image_transformer")[0]
    assert later - at_cancel <= 2 + 3 * canaries_per_s
    assert gateway.finish(job)["step"] == canceled["step"]


def test_batch_mates_of_a_canceled_job_are_unchanged(gateway: Served) -> None:
    prompts = ["a cup", "an elephant in a long corridor of mirrors", "a hill", "rain on glass"]
    jobs = [
        gateway.submit(task="generate", prompt=prompt, seed=seed, num_inference_steps=30)
        for seed, prompt in enumerate(prompts)
    ]
    eventually(lambda: step_of(gateway, jobs[1]) >= 3, timeout_s=40)
    assert gateway.http.post(f"/v1/jobs/{jobs[1]['id']}/cancel").json()["status"] == "canceled"
    for seed in (0, 2, 3):
        assert gateway.finish(jobs[seed])["status"] == "succeeded"
        picture = gateway.http.get(f"/v1/jobs/{jobs[seed]['id']}/result").content
        assert difference(picture, paint(prompts[seed], seed=seed, steps=30)) <= 1


@pytest.mark.timeout(300)
def test_a_cancel_at_any_step_leaves_the_other_three_of_a_batch_alone(gateway: Served) -> None:
    prompts = ["a cup", "an elephant in a long corridor of mirrors", "a hill", "rain on glass"]
    common = {"width": 128, "height": 128, "num_inference_steps": STEPS}
    requests = [
        small_request(**common, prompt=prompt, seed=seed) for seed, prompt in enumerate(prompts)
    ]
    expected = [paint_request(request) for request in requests]
    before = gateway.statistics("qwen_image_transformer")
    for step in range(STEPS + 1):
        leaves = step % len(requests)
        batch = [
            DirectJob(request=request, leaves_after_step=step if index == leaves else None)
            for index, request in enumerate(requests)
        ]
        served = run_jobs(gateway.triton["grpc"], batch)
        for index, picture in enumerate(served):
            assert (picture is None) == (index == leaves)
            if picture is not None:
                assert pixel_difference(picture, expected[index]) <= 1, (step, index)
    after = gateway.statistics("qwen_image_transformer")
    # They did share passes; canaries, each a pass of its own, only lower the figure.
    assert (after[0] - before[0]) / (after[1] - before[1]) > 1.3


def test_cancel_of_a_queued_job_is_at_once(gateway: Served) -> None:
    running = [
        gateway.submit(task="generate", prompt="busy", num_inference_steps=60) for _ in range(9)
    ]
    last = running[-1]
    assert gateway.http.get(f"/v1/jobs/{last['id']}").json()["status"] == "queued"
    canceled = gateway.http.post(f"/v1/jobs/{last['id']}/cancel").json()
    assert (canceled["status"], canceled["step"]) == ("canceled", 0)
    for job in running:
        gateway.http.post(f"/v1/jobs/{job['id']}/cancel")
