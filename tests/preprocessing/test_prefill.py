import numpy as np
from skimage import data

from preprocessing.prefill import telea

CAT = data.chelsea()
MASK = np.zeros((300, 451), bool)
MASK[120:180, 180:260] = True

SLACK = 10  # OpenCV's gradient term does not give a flat surround back exactly


def distance_to_mask():
    y, x = np.mgrid[:300, :451]
    dy, dx = (
        np.maximum(0, np.maximum(120 - y, y - 179)),
        np.maximum(0, np.maximum(180 - x, x - 259)),
    )
    return np.hypot(dy, dx)


def test_only_the_mask_and_its_rim_are_filled():
    filled = telea(CAT, MASK)
    changed = (filled != CAT).any(axis=2)
    assert not changed[distance_to_mask() > 36].any()
    assert changed[distance_to_mask() < 34].mean() > 0.9
    np.testing.assert_array_equal(telea(CAT, MASK, grow_px=0)[~MASK], CAT[~MASK])


def test_what_is_filled_in_comes_from_the_rim():
    flat = np.full_like(CAT, 90)
    flat[MASK] = (255, 0, 0)
    assert np.abs(telea(flat, MASK).astype(int) - 90).max() <= SLACK


def test_a_mask_that_would_swallow_the_picture_keeps_its_size():
    nearly = np.ones((40, 40), bool)
    nearly[0] = False
    picture = np.full((40, 40, 3), 50, np.uint8)
    picture[1:] = 200
    assert np.abs(telea(picture, nearly).astype(int) - 50).max() <= SLACK
