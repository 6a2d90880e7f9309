"""The committed demo segmenter on scenes that training never saw."""

import pytest

from export_scripts.demo import SEGMENTER
from export_scripts.demo_scenes import HELD_OUT_SEEDS
from export_scripts.evaluate_segmenter import WAYS, evaluate

# The other seeds are left to the acceptance tests; all 200 take 40 s.
SEEDS = HELD_OUT_SEEDS[100:140]


@pytest.fixture(scope="module")
def scores() -> dict[str, float]:
    return evaluate(SEGMENTER, seeds=SEEDS)


@pytest.mark.parametrize("way", WAYS)
def test_it_finds_the_objects(scores: dict[str, float], way: str) -> None:
    assert scores[way] >= 0.90
