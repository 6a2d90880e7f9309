import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage import data

from preprocessing import masks
from preprocessing.errors import MaskRejectedError

any_mask = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24))
HORSE = ~data.horse()  # 400 x 328, a silhouette


def disc(radius, side=101):
    y, x = np.mgrid[:side, :side] - side // 2
    return x * x + y * y <= radius * radius


@given(any_mask)
def test_polygons_come_back(mask):
    np.testing.assert_array_equal(masks.from_polygons(masks.polygons(mask), mask.shape), mask)


def test_polygons_of_a_silhouette_with_holes():
    pierced = HORSE & ~np.pad(np.ones((9, 9), bool), [(150, 328 - 159), (180, 400 - 189)])
    outlines = masks.polygons(pierced)
    assert len(outlines) > len(masks.polygons(HORSE))
    np.testing.assert_array_equal(masks.from_polygons(outlines, pierced.shape), pierced)
    assert all(isinstance(value, int) for point in outlines[0] for value in point)


def test_no_polygons_no_mask():
    assert masks.polygons(np.zeros((4, 5), bool)) == []
    assert not masks.from_polygons([], (4, 5)).any()


@given(any_mask)
def test_area_and_box(mask):
    assert masks.area(mask) == mask.sum()
    assert masks.coverage(mask) == pytest.approx(mask.mean())
    box = masks.bounding_box(mask)
    if box is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = box
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert all(side.any() for side in (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1]))


@given(any_mask, st.integers(0, 4))
def test_growing_and_shrinking_contain_each_other(mask, px):
    assert (masks.grow(mask, px) >= mask).all()
    assert (masks.shrink(mask, px) <= mask).all()
    opposite = masks.invert(masks.shrink(masks.invert(mask), px))
    np.testing.assert_array_equal(masks.grow(mask, px), opposite)


@pytest.mark.parametrize("px", [0, 1, 7, 15])
def test_the_reach_is_in_pixels(px):
    square = np.pad(np.ones((41, 41), bool), 30)
    assert masks.bounding_box(masks.grow(square, px)) == (30 - px, 30 - px, 71 + px, 71 + px)
    assert masks.bounding_box(masks.shrink(square, px)) == (30 + px, 30 + px, 71 - px, 71 - px)
    assert abs(masks.area(masks.grow(disc(20), px)) / masks.area(disc(20 + px)) - 1) < 0.03


def test_the_pictures_edge_does_not_eat():
    assert masks.shrink(np.ones((9, 9), bool), 3).all()


@pytest.mark.parametrize("operation", [masks.grow, masks.shrink])
def test_negative_reach_is_refused(operation):
    with pytest.raises(ValueError, match="at least 0; got -1"):
        operation(disc(3), -1)


def test_holes_are_filled():
    ring = disc(30) & ~disc(20)
    np.testing.assert_array_equal(masks.fill_holes(ring | disc(5)), disc(30))


@given(any_mask)
def test_filling_only_adds_and_is_idempotent(mask):
    filled = masks.fill_holes(mask)
    assert (filled >= mask).all()
    np.testing.assert_array_equal(masks.fill_holes(filled), filled)


def test_the_largest_component():
    both = disc(10) | np.roll(disc(5), 40, 1)
    np.testing.assert_array_equal(masks.largest_component(both), disc(10))
    assert not masks.largest_component(np.zeros((3, 3), bool)).any()


def test_binarise_includes_the_threshold():
    levels = np.uint8([[0, 127, 128, 255]])
    np.testing.assert_array_equal(masks.binarise(levels), [[False, False, True, True]])
    np.testing.assert_array_equal(masks.binarise(levels, 1), [[False, True, True, True]])


@pytest.mark.parametrize("size_wh", [(200, 164), (801, 655), (33, 700), (400, 328)])
def test_resizing_keeps_the_shape(size_wh):
    resized = masks.resize_mask(HORSE, size_wh)
    assert (resized.shape, resized.dtype) == (size_wh[::-1], np.bool_)
    assert masks.coverage(resized) == pytest.approx(masks.coverage(HORSE), abs=0.01)


def test_unusable_masks_are_refused():
    masks.require_usable(disc(3))
    with pytest.raises(
        MaskRejectedError, match=r"at least 1 pixel; it selects 0 of 12\."
    ) as caught:
        masks.require_usable(np.zeros((3, 4), bool))
    assert caught.value.code == "mask_empty"
    with pytest.raises(MaskRejectedError, match=r"at least 1 pixel .* all 12\.") as caught:
        masks.require_usable(np.ones((3, 4), bool))
    assert caught.value.code == "mask_full"


def test_another_size_is_refused():
    masks.require_size(HORSE, (400, 328))
    with pytest.raises(MaskRejectedError, match="328 x 400; it is 400 x 328") as caught:
        masks.require_size(HORSE, (328, 400))
    assert caught.value.code == "mask_size"


def test_nothing_is_written_to():
    frozen = HORSE.copy()
    frozen.setflags(write=False)
    for operation in (masks.polygons, masks.fill_holes, masks.largest_component, masks.invert):
        operation(frozen)
    masks.grow(frozen, 2)
    masks.shrink(frozen, 2)
    masks.resize_mask(frozen, (50, 50))


def test_only_small_holes_are_filled_when_asked():
    pierced = disc(30) & ~np.roll(disc(8), 12, 1) & ~np.roll(disc(2), -12, 1)
    small = masks.area(disc(2))
    filled = masks.fill_holes(pierced, small)
    np.testing.assert_array_equal(filled, disc(30) & ~np.roll(disc(8), 12, 1))
    np.testing.assert_array_equal(masks.fill_holes(pierced, small - 1), pierced)


def test_islands_below_the_area_go():
    both = disc(10) | np.roll(disc(5), 40, 1)
    small = masks.area(disc(5))
    np.testing.assert_array_equal(masks.remove_islands(both, small), both)
    np.testing.assert_array_equal(masks.remove_islands(both, small + 1), disc(10))
    assert not masks.remove_islands(np.zeros((3, 4), bool), 1).any()


def test_a_wide_reach_is_a_disc():
    far = masks.grow(disc(5, 201), 40)
    assert abs(masks.area(far) / masks.area(disc(45, 201)) - 1) < 0.01
    np.testing.assert_array_equal(masks.shrink(~disc(5, 201), 40), ~far)


@st.composite
def masks_of_one_shape(draw, count=3):
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=12))
    return [draw(arrays(np.bool_, shape)) for _ in range(count)]


@given(masks_of_one_shape())
def test_composing_obeys_set_algebra(three):
    a, b, c = three
    everything = np.ones_like(a)
    pairs = [
        (masks.union(a, b), masks.union(b, a)),
        (masks.union(a, masks.union(b, c)), masks.union(a, b, c)),
        (masks.intersect(a, masks.intersect(b, c)), masks.intersect(a, b, c)),
        (
            masks.intersect(a, masks.union(b, c)),
            masks.union(masks.intersect(a, b), masks.intersect(a, c)),
        ),
        (masks.invert(masks.union(a, b)), masks.intersect(~a, ~b)),
        (masks.subtract(a, b), masks.intersect(a, masks.invert(b))),
        (masks.subtract(a, b, c), masks.subtract(masks.subtract(a, b), c)),
        (masks.union(masks.subtract(a, b), masks.intersect(a, b)), a),
        (masks.subtract(everything, a), masks.invert(a)),
        (masks.subtract(a), a),
    ]
    for left, right in pairs:
        np.testing.assert_array_equal(left, right)
