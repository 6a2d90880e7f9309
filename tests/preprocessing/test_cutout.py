import numpy as np
import pytest
from skimage import data

from preprocessing.cutout import cut_out, cut_out_mask
from preprocessing.errors import MaskRejectedError
from tests.preprocessing.plain_recipes import halved

COFFEE = data.coffee()


def test_an_object_of_the_squares_size_is_pasted_as_it_is():
    levels = np.zeros((400, 600), np.uint8)
    levels[50:350, 40:552] = 255
    levels[60:100, 60:100] = 0
    levels[120:130, 60:100] = 140
    square = cut_out(COFFEE, levels)
    alpha = levels[50:350, 40:552, None] / 255
    expected = np.full((512, 512, 3), 255.0)
    expected[106:406] = COFFEE[50:350, 40:552] * alpha + 255 * (1 - alpha)
    assert np.abs(square - expected).max() <= 0.5
    np.testing.assert_array_equal(cut_out_mask(levels >= 128)[106:406], levels[50:350, 40:552] > 0)


def test_a_large_object_is_averaged_onto_the_large_square():
    large = COFFEE.repeat(4, 0).repeat(4, 1)[:, :2100]
    levels = np.zeros(large.shape[:2], np.uint8)
    levels[300:1300, 20:2068] = 255
    square = cut_out(large, levels)
    assert square.shape == (1024, 1024, 3)
    assert np.abs(square[262:762] - halved(large[300:1300, 20:2068].astype(float))).max() <= 1
    assert (square[:262] == 255).all()
    assert (square[762:] == 255).all()


def test_a_small_object_fills_the_square():
    levels = np.zeros((400, 600), np.uint8)
    levels[100:120, 200:300] = 255
    mask = cut_out_mask(levels > 0)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (205, 306, 0, 511)
    assert cut_out(COFFEE, levels).shape == (512, 512, 3)


def test_bad_masks_are_refused():
    with pytest.raises(MaskRejectedError, match="selects 0 of 240000") as caught:
        cut_out(COFFEE, np.zeros((400, 600), np.uint8))
    assert caught.value.code == "mask_empty"
    with pytest.raises(MaskRejectedError, match="600 x 400; it is 10 x 10"):
        cut_out(COFFEE, np.full((10, 10), 255, np.uint8))
