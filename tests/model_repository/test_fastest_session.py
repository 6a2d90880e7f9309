"""Which engine a mask model takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mask_serving.fastest_session import faster_if_equal


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
