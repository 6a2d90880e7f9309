"""Several Tritons, in memory: who works, who is left out, what moves on."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest

from gateway.errors import (
    InferenceError,
    InferenceTimeoutError,
    InvalidRequestError,
    ModelUnavailableError,
    OverloadedError,
    RetouchError,
)
from gateway.inference import (
    EDIT_MODEL,
    GENERATION_MODEL,
    PIPELINE_MODELS,
    SEGMENTATION_MODEL,
    TEXT_PROMPT_MODELS,
    PictureDone,
    StepDone,
)
from gateway.triton.triton_endpoints import TritonEndpoints
from gateway.triton.triton_pool import TritonPool
from tests.gateway.several_tritons import DEAD, Tritons, paint, request

SQUARE = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture
def three() -> Tritons:
    return Tritons("a:1", "b:1", "c:1")


async def test_masks_take_turns_among_idle_tritons(three: Tritons) -> None:
    await three.canaries()
    for _ in range(6):
        three.pool.segment(SQUARE)
    assert three.masks() == [2, 2, 2]


async def test_the_least_busy_triton_works(three: Tritons) -> None:
    await three.canaries()
    busy = three.fakes["a:1"]
    busy.working = threading.Event()
    started = [asyncio.create_task(asyncio.to_thread(three.pool.segment, SQUARE))]
    await _until(lambda: three.pool.members[0].outstanding == 1)
    for _ in range(4):
        three.pool.segment(SQUARE)
    busy.working.set()
    await asyncio.gather(*started)
    assert three.masks() == [1, 2, 2]
    assert all(member.outstanding == 0 for member in three.pool.members)


@pytest.mark.parametrize(
    "failure", [DEAD, OverloadedError("full"), InferenceTimeoutError("late")], ids=lambda e: e.code
)
async def test_a_mask_is_tried_once_more_elsewhere(three: Tritons, failure: RetouchError) -> None:
    await three.canaries()
    three.fakes["a:1"].failure = failure
    three.pool.segment(SQUARE)
    assert three.masks() == [0, 1, 0]


async def test_a_mask_is_not_tried_a_third_time(three: Tritons) -> None:
    await three.canaries()
    three.fakes["a:1"].failure = three.fakes["b:1"].failure = DEAD
    with pytest.raises(ModelUnavailableError):
        three.pool.segment(SQUARE)
    assert three.masks() == [0, 0, 0]
    three.pool.segment(SQUARE)
    assert three.masks() == [0, 0, 1]


@pytest.mark.parametrize("failure", [InvalidRequestError("no"), InferenceError("a bug")])
async def test_what_would_fail_anywhere_is_not_repeated(
    three: Tritons, failure: RetouchError
) -> None:
    await three.canaries()
    three.fakes["a:1"].failure = failure
    with pytest.raises(type(failure)):
        three.pool.segment(SQUARE)
    assert three.masks() == [0, 0, 0]


async def test_a_dead_triton_is_out_at_once_and_back_with_its_canary(three: Tritons) -> None:
    await three.canaries()
    three.fakes["a:1"].failure = DEAD
    for _ in range(7):
        three.pool.segment(SQUARE)
    assert three.masks()[0] == 0
    assert (await three.canaries()).detail == "2 of 3 servers answer"
    three.fakes["a:1"].failure = None
    assert (await three.canaries()).detail == ""
    for _ in range(6):
        three.pool.segment(SQUARE)
    assert three.masks()[0] == 2


async def test_a_painting_starts_over_on_another_triton(three: Tritons) -> None:
    await three.canaries(GENERATION_MODEL)
    for fake in list(three.fakes.values())[:2]:
        fake.dies_at_step = 2
    events = await paint(three, deadline_s=60.0)
    assert isinstance(events[-1], PictureDone)
    assert int(events[-1].image[0, 0, 0]) == 7
    steps = [event.step for event in events if isinstance(event, StepDone)]
    assert steps[-3:] == [1, 2, 3]
    deadlines = [r.deadline_s for fake in three.fakes.values() for r in fake.painted]
    assert all(deadline is not None and deadline <= 60 for deadline in deadlines)
    assert all(member.outstanding == 0 for member in three.pool.members)


async def test_a_painting_fails_when_every_triton_failed(three: Tritons) -> None:
    await three.canaries(GENERATION_MODEL)
    for fake in three.fakes.values():
        fake.dies_at_step = 1
    with pytest.raises(ModelUnavailableError):
        await paint(three)
    assert three.painted() == [1, 1, 1]


async def test_leaving_a_painting_cancels_it_in_its_triton(three: Tritons) -> None:
    await three.canaries(GENERATION_MODEL)
    events = three.pool.paint(request(num_inference_steps=50))
    await anext(events)
    assert sum(fake.painting for fake in three.fakes.values()) == 1
    await events.aclose()  # type: ignore[attr-defined]
    assert sum(fake.painting for fake in three.fakes.values()) == 0
    assert all(member.outstanding == 0 for member in three.pool.members)


async def test_the_same_picture_is_edited_where_its_latents_are_kept(three: Tritons) -> None:
    await three.canaries(EDIT_MODEL)
    pictures = [np.full((64, 64, 3), shade, np.uint8) for shade in range(16)]
    for _ in range(3):
        for picture in pictures:
            await paint(three, model=EDIT_MODEL, images=(picture,))
    where = [{int(r.images[0][0, 0, 0]) for r in fake.painted} for fake in three.fakes.values()]
    assert sum(len(shades) for shades in where) == 16, "a picture went to two Tritons"
    assert all(where), "one Triton got nothing"


async def test_affinity_never_makes_a_job_wait_for_a_busy_triton(three: Tritons) -> None:
    await three.canaries(GENERATION_MODEL)
    open_jobs = [three.pool.paint(request()) for _ in range(3)]
    for job in open_jobs:
        await anext(job)
    assert three.painted() == [1, 1, 1]
    for job in open_jobs:
        await job.aclose()  # type: ignore[attr-defined]


async def test_tritons_may_serve_different_models() -> None:
    two = Tritons("masks:1", "pictures:1")
    two.fakes["masks:1"].loaded = {SEGMENTATION_MODEL}
    two.fakes["pictures:1"].loaded = {GENERATION_MODEL}
    for model in (SEGMENTATION_MODEL, GENERATION_MODEL):
        health = await two.canaries(model)
        assert health.ready
        assert health.detail == ""
    for _ in range(3):
        two.pool.segment(SQUARE)
        await paint(two)
    assert two.masks() == [3, 0]
    assert two.painted() == [0, 3]


async def test_stages_that_no_pipeline_calls_are_not_asked_for(three: Tritons) -> None:
    everything = await three.pool.model_names()
    stages = {"text_encoder": {"model": "qwen_text_encoder", "version": 1}}
    for fake in three.fakes.values():
        fake.stages = stages
    for model in PIPELINE_MODELS:
        await three.canaries(model)
    assert set(await three.pool.model_names()) < set(everything)
    for fake in three.fakes.values():
        fake.failure = DEAD
    await three.canaries(GENERATION_MODEL)
    assert len(await three.pool.model_names()) == 4, "forgotten when its Triton died"


async def test_a_hanging_triton_holds_up_neither_canaries_nor_masks(three: Tritons) -> None:
    await three.canaries()
    three.fakes["b:1"].hangs = True
    health = await three.pool.check(SEGMENTATION_MODEL, timeout_s=0.2)
    assert health.ready
    await asyncio.sleep(0.3)
    for _ in range(4):
        three.pool.segment(SQUARE)
    assert three.masks()[1] == 0


async def test_all_hanging_is_slow_not_dead(three: Tritons) -> None:
    await three.canaries()
    for fake in three.fakes.values():
        fake.hangs = True
    await three.canaries()
    await asyncio.sleep(0.1)
    health = await three.canaries()
    assert not health.ready
    assert health.slow


async def test_addresses_come_and_go_with_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["a:1", "b:1"]
    monkeypatch.setattr(TritonEndpoints, "resolve", lambda self: tuple(found))
    tritons = Tritons()
    tritons.pool = TritonPool(TritonEndpoints((), (("name", 1),)), tritons._connect, refresh_s=0.0)
    with pytest.raises(ModelUnavailableError):
        tritons.pool.segment(SQUARE)
    await tritons.canaries()
    assert [member.url for member in tritons.pool.members] == ["a:1", "b:1"]
    leaving = tritons.pool.paint(request(num_inference_steps=50))
    await anext(leaving)
    found[:] = ["c:1"]
    await tritons.canaries()
    assert len(tritons.pool.members) == 2, "the one at work stays until it is done"
    tritons.pool.segment(SQUARE)
    assert tritons.fakes["c:1"].segmentations == 1
    await leaving.aclose()  # type: ignore[attr-defined]
    await tritons.canaries()
    assert [member.url for member in tritons.pool.members] == ["c:1"]
    assert tritons.fakes["a:1"].closed
    assert tritons.fakes["b:1"].closed
    await tritons.pool.close()


async def test_a_name_that_does_not_resolve_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, three: Tritons
) -> None:
    def fail(self: TritonEndpoints) -> tuple[str, ...]:
        raise OSError("name service down")

    monkeypatch.setattr(TritonEndpoints, "resolve", fail)
    assert (await three.canaries()).ready
    assert len(three.pool.members) == 3


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_hole_is_filled_where_the_model_is(three: Tritons) -> None:
    hole = np.zeros((64, 64), np.uint8)
    with pytest.raises(ModelUnavailableError):
        await three.pool.fill(SQUARE, hole)
    three.fakes["b:1"].fills = True
    for _ in range(3):
        assert (await three.pool.fill(SQUARE, hole)).shape == SQUARE.shape


async def test_text_models_count_though_their_triton_is_away(three: Tritons) -> None:
    three.fakes["b:1"].has_text_prompts = True
    assert TEXT_PROMPT_MODELS[0] in await three.pool.model_names()
    three.fakes["b:1"].has_text_prompts = False
    assert TEXT_PROMPT_MODELS[0] in await three.pool.model_names()
