import numpy as np
import pytest

from preprocessing.errors import PromptRejectedError
from preprocessing.strokes import draw_strokes


def test_the_brush_goes_from_point_to_point():
    drawn = draw_strokes([[(10, 10), (50, 10), (50, 40)], [(5, 55)]], 5, (80, 60))
    assert drawn.shape == (60, 80)
    assert drawn[10, 10:51].all()
    assert drawn[10:41, 50].all()
    assert drawn[55, 5]
    assert not drawn[30, 20]
    assert drawn[8:13, 30].all()
    assert not drawn[[6, 14], 30].any()


@pytest.mark.parametrize("point", [(80, 0), (0, 60), (-1, 0), (float("nan"), 3)])
def test_points_outside_are_refused(point):
    with pytest.raises(PromptRejectedError, match=r"Points of stroke 1 .* x < 80") as caught:
        draw_strokes([[(1, 1)], [(2, 2), point]], 3, (80, 60))
    assert caught.value.code == "point_outside"


def test_a_stroke_without_points_is_refused():
    with pytest.raises(PromptRejectedError, match="Stroke 0 has no points"):
        draw_strokes([[]], 3, (80, 60))


def test_no_strokes_draw_nothing():
    assert not draw_strokes([], 3, (8, 6)).any()
    assert draw_strokes([], 3, (8, 6)).dtype == np.bool_
