"""kill -9 of what the gateway depends on: jobs start again and end well, nothing hangs."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from export_scripts.demo_scenes import draw_scene
from gateway.triton.model_processes import processes_of
from gateway.triton.process_group import group_members
from preprocessing.codec import encode_png
from tests.acceptance.served import Served, eventually

RECOVERS_WITHIN_S = 180.0


def interrupted_job(gateway: Served, victim: int) -> None:
    """Kill a process in the middle of a job: the job starts again and ends well."""
    job = gateway.submit(task="generate", prompt="interrupted", num_inference_steps=100)
    eventually(lambda: gateway.http.get(f"/v1/jobs/{job['id']}").json()["step"] >= 3, timeout_s=40)
    os.kill(victim, signal.SIGKILL)
    ends_well_at_its_second_start(gateway, job)


def ends_well_at_its_second_start(gateway: Served, job: dict[str, Any]) -> None:
    def has_ended() -> bool:
        return gateway.finish(job)["status"] not in ("queued", "running")

    eventually(has_ended, timeout_s=RECOVERS_WITHIN_S)
    ended = gateway.finish(job)
    assert ended["status"] == "succeeded", ended["error"]
    assert ended["attempts"] >= 2


@pytest.mark.timeout(420)
@pytest.mark.parametrize("model", ["qwen_image_transformer", "qwen_image", "qwen_vae_decoder"])
def test_a_job_outlives_a_killed_model_process(gateway: Served, model: str) -> None:
    if model == "qwen_vae_decoder":
        # It is idle while the job steps: the job fails where it needs it.
        job = gateway.submit(task="generate", prompt="interrupted", num_inference_steps=4)
        os.kill(gateway.stub_of(model), signal.SIGKILL)
        ends_well_at_its_second_start(gateway, job)
    else:
        interrupted_job(gateway, gateway.stub_of(model))
    gateway.wait_ready(RECOVERS_WITHIN_S)


@pytest.mark.timeout(420)
def test_a_killed_segmenter_is_replaced(gateway: Served) -> None:
    for stub in gateway.stubs_of("fastsam"):
        os.kill(stub, signal.SIGKILL)
    image = gateway.upload(encode_png(draw_scene(77, 200).image))
    answer = gateway.http.post("/v1/masks", json={"image": image, "everything": True})
    assert answer.status_code in (502, 503)
    assert answer.json()["code"] in ("backend_died", "model_loading")
    body = {"image": image, "everything": True}
    eventually(
        lambda: gateway.http.post("/v1/masks", json=body).status_code == 200,
        timeout_s=RECOVERS_WITHIN_S,
    )


@pytest.mark.timeout(420)
def test_one_of_two_segmenters_is_missed_though_the_other_answers(gateway: Served) -> None:
    gateway.wait_ready(RECOVERS_WITHIN_S)
    before = gateway.stubs_of("fastsam")
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)

    def are_two_others() -> bool:
        now = processes_of("fastsam", gateway.triton["pid"])
        return len(now) == 2 and not now & before

    eventually(are_two_others, timeout_s=RECOVERS_WITHIN_S)
    gateway.wait_ready(RECOVERS_WITHIN_S)
    for seed in (78, 79, 80):
        image = gateway.upload(encode_png(draw_scene(seed, 200).image))
        body = {"image": image, "everything": True}
        assert gateway.http.post("/v1/masks", json=body).status_code == 200


@pytest.mark.timeout(420)
def test_a_job_outlives_a_killed_triton(gateway: Served) -> None:
    old = gateway.triton["pid"]
    interrupted_job(gateway, old)
    gateway.wait_ready(RECOVERS_WITHIN_S)
    assert gateway.triton["pid"] != old


@pytest.mark.timeout(420)
def test_nothing_is_left_when_the_gateway_goes(tmp_path: Path) -> None:
    served = Served(tmp_path)
    eventually((tmp_path / "triton.json").exists, timeout_s=60)
    group = os.getpgid(served.triton["pid"])
    assert served.stop() in (0, -signal.SIGTERM)
    assert group_members(group) == []


def test_doctor_finds_nothing_missing(tmp_path: Path) -> None:
    environment = {**os.environ, "RETOUCH_DATA_DIR": str(tmp_path), "RETOUCH_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "doctor"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Triton" in done.stdout
