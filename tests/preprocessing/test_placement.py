import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.placement import place_in_regions

sides = st.integers(4, 60)


@settings(deadline=None)
@given(sides, sides, sides, sides, st.integers(0, 30), st.integers(0, 30))
def test_a_rectangle_fills_one_side_of_its_region_and_is_centred(w, h, room_w, room_h, x, y):
    marked = np.zeros((100, 100), bool)
    marked[y : y + room_h, x : x + room_w] = True
    shape = np.pad(np.ones((h, w), bool), 3)
    placed = place_in_regions(shape, marked)
    assert not (placed & ~marked).any()
    rows, columns = np.flatnonzero(placed.any(1)), np.flatnonzero(placed.any(0))
    height, width = len(rows), len(columns)
    assert height == room_h or width == room_w
    scale = min(room_w / w, room_h / h)
    assert abs(height - h * scale) <= 1
    assert abs(width - w * scale) <= 1
    assert abs((rows[0] - y) - (y + room_h - 1 - rows[-1])) <= 1
    assert abs((columns[0] - x) - (x + room_w - 1 - columns[-1])) <= 1


def test_specks_count_only_where_there_is_nothing_else():
    marked = np.zeros((50, 50), bool)
    marked[2:4, 2:4] = True
    shape = np.ones((2, 2), bool)
    assert place_in_regions(shape, marked).sum() == 4
    marked[20:40, 20:40] = True
    placed = place_in_regions(shape, marked)
    assert placed[20:40, 20:40].all()
    assert placed.sum() == 400
