import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage import data

from preprocessing.compose import Preservation, paste
from preprocessing.errors import MaskRejectedError

CHELSEA = data.chelsea()  # 451 x 300
EDITED = 255 - CHELSEA
HEIGHT, WIDTH = CHELSEA.shape[:2]
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[60:200, 100:300] = True

any_mask = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=40))


@given(any_mask, st.integers(0, 12), st.randoms(use_true_random=False))
def test_outside_is_equal_bit_for_bit(mask, feather_px, random):
    rng = np.random.default_rng(random.getrandbits(32))
    original, edited = rng.integers(0, 256, (2, *mask.shape, 3), np.uint8)
    result, preservation = paste(original, edited, mask, feather_px=feather_px)
    np.testing.assert_array_equal(result[~mask], original[~mask])
    assert preservation.outside_equal
    assert preservation.outside_max_abs == 0
    assert preservation.mask_coverage == pytest.approx(mask.mean())


@given(any_mask, st.integers(0, 12))
def test_each_part_of_a_mask_shows_the_edit(mask, feather_px):
    black = np.zeros((*mask.shape, 3), np.uint8)
    result, _ = paste(black, black + np.uint8(255), mask, feather_px=feather_px)
    assert (result[mask] > 0).all()
    assert not mask.any() or result.max() == 255


def test_a_hard_edge_is_the_edit():
    result, preservation = paste(CHELSEA, EDITED, MASK, feather_px=0)
    np.testing.assert_array_equal(result, np.where(MASK[..., None], EDITED, CHELSEA))
    assert preservation == Preservation(True, 0, 0, MASK.mean(), (100, 60, 300, 200))


def test_the_ramp_rises_inside():
    black, white = np.zeros_like(CHELSEA), np.full_like(CHELSEA, 255)
    result, preservation = paste(black, white, MASK, feather_px=4)
    ramp = result[130, 99:106, 0]
    np.testing.assert_array_equal(ramp, [0, 51, 102, 153, 204, 255, 255])
    assert preservation.feather_px == 4


def test_the_pictures_edge_is_no_edge_of_the_mask():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:100] = True
    result, _ = paste(CHELSEA, EDITED, mask)
    np.testing.assert_array_equal(result[:80], EDITED[:80])


def test_a_thin_mask_gets_a_shorter_ramp():
    thin = np.zeros((HEIGHT, WIDTH), bool)
    thin[100:107, 50:200] = True
    result, preservation = paste(CHELSEA, EDITED, thin, feather_px=8)
    assert preservation.feather_px == 2
    np.testing.assert_array_equal(result[103, 60:190], EDITED[103, 60:190])


def test_empty_and_full_masks():
    result, preservation = paste(CHELSEA, EDITED, np.zeros_like(MASK))
    np.testing.assert_array_equal(result, CHELSEA)
    assert (preservation.mask_coverage, preservation.mask_box) == (0, (0, 0, 0, 0))
    result, preservation = paste(CHELSEA, EDITED, np.ones_like(MASK))
    np.testing.assert_array_equal(result, EDITED)
    assert (preservation.outside_equal, preservation.mask_coverage) == (True, 1)


@pytest.mark.parametrize("factor", [0.5, 0.77, 1.6, 3])
def test_an_edit_of_another_size_is_resized(factor):
    other = cv2.resize(CHELSEA, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    result, preservation = paste(CHELSEA, other, MASK)
    assert preservation.outside_equal
    assert np.abs(result.astype(int) - CHELSEA).mean() < 2


def test_the_mask_must_have_the_originals_size():
    with pytest.raises(MaskRejectedError, match="451 x 300; it is 300 x 451") as caught:
        paste(CHELSEA, EDITED, MASK.T)
    assert caught.value.code == "mask_size"


def test_a_negative_feather_is_refused():
    with pytest.raises(ValueError, match="at least 0 pixels; got -1"):
        paste(CHELSEA, EDITED, MASK, feather_px=-1)


def test_nothing_is_written_to():
    frozen = [array.copy() for array in (CHELSEA, EDITED, MASK)]
    for array in frozen:
        array.setflags(write=False)
    paste(*frozen)
