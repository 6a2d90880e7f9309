"""Which engine a mask model takes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mask_serving.fastest_session import faster_if_equal, threads_each
from mask_serving.fastsam import same_answers


@dataclass
class Session:
    """Answers after a while."""

    seconds: float
    value: float = 1.0

    def run(self, names: Any, inputs: Any) -> list[np.ndarray]:
        time.sleep(self.seconds)
        return [np.full(3, self.value, np.float32), np.zeros((2, 2), np.uint8)]


USUAL = Session(0.02)


@pytest.mark.parametrize(
    ("other", "taken"),
    [(Session(0.001), True), (Session(0.06), False), (Session(0.001, 1.01), True)],
)
def test_the_faster_is_taken(other: Session, taken: bool) -> None:
    assert (faster_if_equal(USUAL, other, {}) is other) == taken


def test_a_fast_one_that_answers_otherwise_is_not() -> None:
    assert faster_if_equal(USUAL, Session(0.001, 1.1), {}) is USUAL


@pytest.mark.parametrize(("processors", "passes", "threads"), [(8, 2, 4), (1, 2, 1), (8, 1, 0)])
def test_passes_at_once_share_the_processors(
    processors: int, passes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    assert threads_each(passes) == threads


def answer_of_fastsam(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0, 1, (1, 300, 37)).astype(np.float32)
    rows[..., :4] *= 320
    prototypes = rng.integers(1, 255, (1, 32, 20, 20), np.uint8)
    return [rows, prototypes, rng.uniform(0, 1, (1, 32, 2)).astype(np.float32)]


def test_candidates_in_another_order_are_the_same_answer() -> None:
    first, second = answer_of_fastsam(), answer_of_fastsam()
    second[0] = second[0][:, ::-1] + 1e-3
    second[1] = second[1] + np.uint8(1)
    assert same_answers(first, second)


@pytest.mark.parametrize("output", [0, 1, 2])
def test_other_values_are_another_answer(output: int) -> None:
    first, second = answer_of_fastsam(), answer_of_fastsam()
    second[output] = answer_of_fastsam(1)[output]
    assert not same_answers(first, second)
