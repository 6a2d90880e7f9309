"""The arithmetic of the mask benchmarks, and that what they compare is equal."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import masks
from benchmarks.workloads.mask_making import SIDES, measure_masks

CHECKOUT = Path(__file__).resolve().parents[2]


def figure(contender: str, round_: int, p50_ms: float) -> masks.RoundFigures:
    return masks.RoundFigures(contender=contender, round=round_, p50_ms=p50_ms)


def test_ratios_are_taken_within_a_round() -> None:
    figures = [figure(masks.FIRST, 0, 10), figure(masks.THEIRS, 0, 20)]
    figures += [figure(masks.FIRST, 1, 30), figure(masks.THEIRS, 1, 30)]
    found = masks.ratio(figures, masks.FIRST, masks.THEIRS)
    assert (found.low, found.median, found.high) == (0.5, 0.75, 1.0)


def test_masks_cropped_first_equal_those_of_ultralytics() -> None:
    figures = measure_masks(repeats=1, pictures=[(640, 640), (901, 600)])
    assert [entry.picture_wh for entry in figures.all] == [(640, 640), (901, 600)]
    assert min(entry.lowest_iou for entry in figures.all) > 0.9995
    assert list(figures.one_ms) == list(SIDES)


@pytest.mark.parametrize(("name", "option"), [("masks", "--rounds"), ("loop_stalls", "--requests")])
def test_help(name: str, option: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert option in done.stdout
    assert "--output" in done.stdout
