import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from preprocessing.letterbox import PADDING, letterbox, plan_letterbox

sides = st.integers(1, 5000)
sizes = st.sampled_from([256, 640, 1024])
shares = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8)


@given(sides, sides, sizes, shares)
def test_points_come_back_within_half_a_pixel(width, height, size, share):
    plan = plan_letterbox((width, height), size)
    points = np.array(share) * (width, height)
    square = plan.to_frame(points)
    assert (square >= -1e-3).all()
    assert (square <= size + 1e-3).all()
    back = plan.to_image(np.hstack([square, square]))
    assert np.abs(back - np.hstack([points, points])).max() <= 0.5


@given(sides, sides, sizes)
def test_content_lies_centred_in_the_square(width, height, size):
    plan = plan_letterbox((width, height), size)
    assert max(plan.content_wh) == size
    for start, content in zip((plan.left, plan.top), plan.content_wh, strict=True):
        after = size - content - start
        assert 0 <= after - start <= 1


@pytest.mark.parametrize(
    ("image_wh", "size"), [((512, 512), 256), ((451, 300), 640), ((600, 400), 256)]
)
def test_only_the_padding_is_grey(image_wh, size):
    photo = np.ascontiguousarray(data.coffee()[: image_wh[1], : image_wh[0]])
    image_wh = photo.shape[1], photo.shape[0]
    plan = plan_letterbox(image_wh, size)
    square = letterbox(photo, plan)
    assert square.shape == (size, size, 3)
    width, height = plan.content_wh
    content = square[plan.top : plan.top + height, plan.left : plan.left + width]
    assert abs(content.mean() - photo.mean()) < 2
    padding = np.ones(square.shape[:2], bool)
    padding[plan.top : plan.top + height, plan.left : plan.left + width] = False
    assert (square[padding] == PADDING).all()


def test_a_picture_of_the_squares_size_is_untouched():
    photo = data.astronaut()
    np.testing.assert_array_equal(letterbox(photo, plan_letterbox((512, 512), 512)), photo)


def test_strong_shrinking_does_not_alias():
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    square = letterbox(stripes, plan_letterbox((1024, 1024), 256))
    assert np.abs(square.astype(int) - 127).max() <= 1


def test_boxes_are_clipped_to_the_image():
    plan = plan_letterbox((100, 50), 640)
    np.testing.assert_allclose(plan.to_image([[-9, 0, 700, 640]]), [[0, 0, 100, 50]])
    assert plan.to_image(np.zeros((0, 4))).shape == (0, 4)


def test_the_plan_must_fit():
    with pytest.raises(ValueError, match=r"\(10, 20\).*20 x 10"):
        letterbox(np.zeros((10, 20, 3), np.uint8), plan_letterbox((10, 20), 64))


@given(sides, sides, sizes, shares)
def test_a_small_frame_maps_back_too(width, height, size, share):
    plan = plan_letterbox((width, height), size, stride=32)
    points = np.array(share) * (width, height)
    framed = plan.to_frame(points)
    assert (framed <= np.array(plan.frame_wh) + 1e-3).all()
    back = plan.to_image(np.hstack([framed, framed]))
    assert np.abs(back - np.hstack([points, points])).max() <= 0.5


@given(sides, sides, sizes)
def test_a_small_frame_is_as_small_as_the_stride_allows(width, height, size):
    plan = plan_letterbox((width, height), size, stride=32)
    for frame, content in zip(plan.frame_wh, plan.content_wh, strict=True):
        assert frame % 32 == 0
        assert 0 <= frame - content < 32


def test_a_small_frame_holds_the_same_content():
    photo = data.coffee()
    square, wide = (plan_letterbox((600, 400), 320, stride=s) for s in (None, 32))
    assert letterbox(photo, wide).shape == (224, 320, 3)
    rows = slice(square.top, square.top + 213)
    expected = letterbox(photo, square)[rows]
    np.testing.assert_array_equal(letterbox(photo, wide)[wide.top : wide.top + 213], expected)
