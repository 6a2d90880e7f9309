"""Scenes are a pure function of their seed, and their masks are honest."""

import numpy as np
import pytest

from export_scripts.demo_scenes import HELD_OUT_SEEDS, draw_scene
from export_scripts.demo_segmenter import phases


def test_the_same_seed_draws_the_same_scene() -> None:
    first, second = draw_scene(3), draw_scene(3)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.masks, second.masks)


def test_another_seed_draws_another() -> None:
    assert not np.array_equal(draw_scene(3).image, draw_scene(4).image)


@pytest.mark.parametrize("size", [96, 256, 385])
def test_image_and_masks_have_the_size(size: int) -> None:
    scene = draw_scene(8, size)
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert {(mask.shape, mask.dtype.name) for mask in scene.masks} == {((size, size), "bool")}


@pytest.mark.parametrize("seed", range(20))
def test_masks_are_disjoint_and_seen(seed: int) -> None:
    masks = draw_scene(seed).masks
    assert np.sum(masks, axis=0).max(initial=0) <= 1
    assert all(mask.sum() >= 0.0023 * 256 * 256 for mask in masks)
    assert len(masks) <= 6


def test_training_never_sees_the_held_out() -> None:
    for phase in phases(3000):
        first = phase.size * 1000
        assert not set(range(first, first + phase.scenes)) & set(HELD_OUT_SEEDS)
