"""A job goes on from a kept state: the same picture, no gap in its events, no step twice."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gateway.errors import RetouchError
from gateway.inference import EDIT_MODEL, PictureDone, PictureRequest, SavedState, StepDone
from gateway.triton.triton_client import TritonBackend
from tests.acceptance.direct_jobs import small_request
from tests.acceptance.fault_fleet import Fleet, event_stream
from tests.acceptance.plain_diffusers import difference
from tests.acceptance.served import Served, eventually

STEPS = 8
SCENE = np.tile(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (1, 64, 3))
HALF = np.repeat(np.array([[0, 255]], np.uint8), 32, axis=1).repeat(64, axis=0)
LONG: dict[str, Any] = {
    "task": "generate",
    "prompt": "a long job",
    "seed": 3,
    "num_inference_steps": 100,
    "size": "512x512",
}
COMMON = {"num_inference_steps": STEPS, "save_every": 3, "preview_every": 2}
REQUESTS = {
    "generate": small_request(**COMMON, true_cfg_scale=3.0, negative_prompt="fog"),
    "edit": small_request(**COMMON, model=EDIT_MODEL, images=(SCENE, SCENE[:, ::-1].copy())),
    "inpaint": small_request(**COMMON, images=(SCENE,), mask=HALF),
    "inpaint in part": small_request(**COMMON, images=(SCENE,), mask=HALF, strength=0.7),
}


async def events_of(gateway: Served, request: PictureRequest) -> list[StepDone | PictureDone]:
    backend = TritonBackend(gateway.triton["grpc"], segmentation_timeout_s=9, stall_timeout_s=90)
    try:
        painted: Any = backend.paint(request)
        async with aclosing(painted) as stream:
            return [event async for event in stream]
    finally:
        await backend.close()


def paint(
    gateway: Served, request: PictureRequest
) -> tuple[npt.NDArray[np.uint8], list[int], list[SavedState]]:
    """The picture, the steps that were told of, and the states that came with them."""
    *steps, done = asyncio.run(events_of(gateway, request))
    assert isinstance(done, PictureDone)
    told = [step for step in steps if isinstance(step, StepDone)]
    return (
        done.image,
        [step.step for step in told],
        [step.state for step in told if step.state is not None],
    )


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_picture_that_goes_on_from_any_state_is_the_same(gateway: Served, name: str) -> None:
    request = REQUESTS[name]
    whole, steps, states = paint(gateway, request)
    assert steps == list(range(1, len(steps) + 1))
    assert [state.step for state in states] == list(range(3, len(steps), 3))
    for state in states:
        picture, again, _ = paint(gateway, replace(request, saved=state))
        assert again == list(range(state.step + 1, len(steps) + 1))
        assert np.abs(picture.astype(int) - whole).max() <= 1


def test_a_state_of_another_checkpoint_is_left_aside(gateway: Served) -> None:
    request = REQUESTS["generate"]
    whole, steps, states = paint(gateway, request)
    strange = replace(states[0], of="another", latents=states[0].latents + 9)
    picture, again, _ = paint(gateway, replace(request, saved=strange))
    assert again == steps
    assert np.abs(picture.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"step": STEPS}, "cannot go on behind step 8"), ({"latents": np.zeros((3, 64))}, "latents")],
)
def test_a_state_that_does_not_fit_is_refused(
    gateway: Served, changes: dict[str, Any], sentence: str
) -> None:
    request = REQUESTS["generate"]
    state = paint(gateway, request)[2][0]
    changes = {n: v.astype(np.float32) if n == "latents" else v for n, v in changes.items()}
    with pytest.raises(RetouchError, match=sentence):
        paint(gateway, replace(request, saved=replace(state, **changes)))


@pytest.fixture
def fleet(gateway: Served, tmp_path: Path) -> Iterator[Fleet]:
    """A gateway that keeps states, over the shared Triton."""
    settings = {"save_latents_every": 5, "progress_interval_s": 0, "preview_every": 0}
    fleet = Fleet(tmp_path, triton_url=gateway.triton["grpc"], **settings)
    yield fleet
    fleet.stop()


@pytest.mark.timeout(300)
def test_a_job_whose_worker_was_killed_goes_on_and_its_picture_is_the_same(
    gateway: Served, fleet: Fleet, tmp_path: Path
) -> None:
    served = fleet.start("only", "serve")
    served.wait_ready()
    job = served.submit(**LONG)
    url = f"/v1/jobs/{job['id']}"
    eventually(lambda: served.http.get(url).json()["step"] >= 30, timeout_s=60)
    fleet.kill("only")
    served = fleet.start("only")
    served.wait_ready()
    ended = served.finish(job)
    assert (ended["status"], ended["attempts"]) == ("succeeded", 2), ended["error"]
    assert_gone_on(event_stream(served.url, job["id"]))
    states = tmp_path / "images" / "states"
    assert [path for path in states.rglob("*") if path.is_file()] == []
    whole = gateway.finish(gateway.submit(**LONG))
    uninterrupted = gateway.http.get(f"/v1/jobs/{whole['id']}/result").content
    assert difference(served.http.get(f"{url}/result").content, pixels(uninterrupted)) <= 1


def assert_gone_on(events: list[tuple[int, str, dict[str, Any]]]) -> None:
    """The second start goes on behind a kept step, to the last one, and nothing is missing."""
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    starts = [place for place, (_, name, _) in enumerate(events) if name == "started"]
    steps = [data["step"] for _, name, data in events[starts[1] :] if name == "progress"]
    assert steps[0] > 20
    assert steps[0] % 5 == 1
    assert steps == list(range(steps[0], LONG["num_inference_steps"] + 1))
