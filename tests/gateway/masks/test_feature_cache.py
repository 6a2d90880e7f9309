"""One computation per picture, a bound in bytes."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.masks.feature_cache import FeatureCache
from preprocessing.fastsam import Instances
from preprocessing.letterbox import plan_letterbox

SIZE = 4 * (4 + 1 + 2 + 1 + 2 * 8 * 8)
"""Bytes of the arrays of `some_instances`."""


def some_instances() -> Instances:
    return Instances(
        boxes=np.zeros((1, 4), np.float32),
        scores=np.ones(1, np.float32),
        coefficients=np.zeros((1, 2), np.float32),
        offsets=np.zeros(1, np.float32),
        prototypes=np.zeros((2, 8, 8), np.float32),
        plan=plan_letterbox((64, 48), 64),
    )


class Network:
    """Counts how often it is asked; waits until it is let go."""

    def __init__(self, *, failure: Exception | None = None) -> None:
        self.calls = 0
        self.failure = failure
        self.go = asyncio.Event()

    async def compute(self) -> Instances:
        self.calls += 1
        await self.go.wait()
        if self.failure:
            raise self.failure
        return some_instances()


def ready() -> Network:
    network = Network()
    network.go.set()
    return network


async def test_a_second_ask_costs_nothing() -> None:
    cache, network = FeatureCache(10 * SIZE), ready()
    first = await cache.get("a", network.compute)
    second = await cache.get("a", network.compute)
    assert (first.cached, second.cached, network.calls) == (False, True, 1)
    assert second.value is first.value


async def test_ten_at_once_are_one_computation() -> None:
    cache, network = FeatureCache(10 * SIZE), Network()
    asks = [asyncio.create_task(cache.get("a", network.compute)) for _ in range(10)]
    await asyncio.sleep(0)
    network.go.set()
    answers = await asyncio.gather(*asks)
    assert network.calls == 1
    assert len({id(answer.value) for answer in answers}) == 1


async def test_two_pictures_are_computed_at_the_same_time() -> None:
    cache, network = FeatureCache(10 * SIZE), Network()
    asks = [asyncio.create_task(cache.get(key, network.compute)) for key in "ab"]
    await asyncio.sleep(0.01)
    assert network.calls == 2
    network.go.set()
    await asyncio.gather(*asks)


async def test_over_the_bound_the_least_recently_used_goes() -> None:
    cache, network = FeatureCache(2 * SIZE), ready()
    for key in "abac":
        await cache.get(key, network.compute)
    assert [(await cache.get(key, network.compute)).cached for key in "ac"] == [True, True]
    assert not (await cache.get("b", network.compute)).cached


async def test_an_entry_over_the_bound_is_answered_but_not_kept() -> None:
    cache, network = FeatureCache(SIZE - 1), ready()
    for _ in range(2):
        assert not (await cache.get("a", network.compute)).cached
    assert network.calls == 2


async def test_dropped_entries_make_room_again() -> None:
    cache, network = FeatureCache(SIZE), ready()
    for key in "abcdef":
        await cache.get(key, network.compute)
    assert (await cache.get("f", network.compute)).cached


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    cache, network = FeatureCache(10 * SIZE), Network(failure=ValueError("no"))
    asks = [asyncio.create_task(cache.get("a", network.compute)) for _ in range(3)]
    await asyncio.sleep(0)
    network.go.set()
    answers = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError] * 3
    network.failure = None
    assert not (await cache.get("a", network.compute)).cached
    assert network.calls == 2


@pytest.mark.parametrize("who", [0, 1])
async def test_a_caller_that_leaves_does_not_take_the_others_along(who: int) -> None:
    cache, network = FeatureCache(10 * SIZE), Network()
    asks = [asyncio.create_task(cache.get("a", network.compute)) for _ in range(2)]
    await asyncio.sleep(0)
    asks[who].cancel()
    network.go.set()
    answer = await asks[1 - who]
    assert asks[who].cancelled()
    assert (len(answer.value), network.calls) == (1, 1)


async def test_the_work_of_a_caller_that_left_is_kept() -> None:
    cache, network = FeatureCache(10 * SIZE), Network()
    ask = asyncio.create_task(cache.get("a", network.compute))
    await asyncio.sleep(0)
    ask.cancel()
    network.go.set()
    await asyncio.sleep(0.01)
    assert (await cache.get("a", network.compute)).cached
