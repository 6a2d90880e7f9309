import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from preprocessing import masks
from preprocessing.errors import MaskRejectedError
from preprocessing.operations import (
    Operation,
    OperationKind,
    adjust_border,
    apply_operations,
    blur,
    feather,
)
from tests.preprocessing.test_masks import disc

any_mask = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("grow", 3, masks.grow(disc(20), 3)),
        ("shrink", 3, masks.shrink(disc(20), 3)),
        ("border_adjustment", 10, masks.grow(disc(20), 10)),
        ("border_adjustment", -10, masks.shrink(disc(20), 10)),
        ("border_adjustment", 0, disc(20)),
        ("invert", 0, ~disc(20)),
        ("largest", 0, disc(20)),
        ("islands", 10, disc(20)),
        ("fill_holes", 0, disc(20)),
    ],
)
def test_each_is_done(kind, value, expected):
    done = apply_operations(disc(20), [Operation(OperationKind(kind), value)])
    np.testing.assert_array_equal(done, expected)


def test_they_are_done_in_their_order():
    steps = [Operation(OperationKind.GROW, 4), Operation(OperationKind.INVERT)]
    expected = ~masks.grow(disc(10), 4)
    np.testing.assert_array_equal(apply_operations(disc(10), steps), expected)
    np.testing.assert_array_equal(apply_operations(disc(10), steps[::-1]), masks.grow(~disc(10), 4))


def test_the_border_has_a_limit():
    with pytest.raises(ValueError, match="-10 to 10; got 11"):
        adjust_border(disc(3), 11)


@given(any_mask, st.integers(1, 20))
def test_feathering_keeps_the_outline(mask, px):
    np.testing.assert_array_equal(masks.binarise(feather(mask, px)), mask)


@pytest.mark.parametrize("px", [1, 5, 20])
def test_a_feather_is_as_wide_as_it_says(px):
    half = np.zeros((5, 101), bool)
    half[:, 50:] = True
    row = feather(half, px)[2].astype(int)
    assert (np.diff(row) >= 0).all()
    assert np.flatnonzero(row > 0).min() >= 50 - px
    assert np.flatnonzero(row < 255).max() <= 50 + px
    assert 2 * px - 2 <= ((row > 0) & (row < 255)).sum() <= 2 * px


def test_the_pictures_edge_is_not_feathered():
    assert (feather(np.ones((5, 6), bool), 3) == 255).all()
    assert (feather(np.zeros((5, 6), bool), 3) == 0).all()


def test_blur_softens_by_the_pictures_size():
    small, large = blur(disc(20, 101)), blur(disc(400, 2001))
    assert small[50, 50] > 250
    assert small[0, 0] == 0
    assert [np.unique(levels).size > 100 for levels in (small, large)] == [True, True]
    edge = [np.count_nonzero((row > 13) & (row < 242)) for row in (small[50], large[1000])]
    assert edge[1] > 2.5 * edge[0]


def test_only_invert_may_follow_a_soft_operation():
    soft = Operation(OperationKind.FEATHER, 4)
    inverted = apply_operations(disc(20), [soft, Operation(OperationKind.INVERT)])
    np.testing.assert_array_equal(inverted, 255 - feather(disc(20), 4))
    for kind in set(OperationKind) - {OperationKind.INVERT}:
        with pytest.raises(MaskRejectedError, match=f"followed by {kind}") as caught:
            apply_operations(disc(20), [soft, Operation(kind, 1)])
        assert caught.value.code == "ops_order"
