from hypothesis import given
from hypothesis import strategies as st

from preprocessing.crop import CONTEXT, MAX_ASPECT, MIN_CONTEXT_PX, plan_crop

AREA = 1024 * 1024


@st.composite
def boxes(draw):
    width, height = draw(st.integers(64, 12_000)), draw(st.integers(64, 12_000))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (
        (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))),
        (width, height),
    )


@given(boxes())
def test_a_crop_holds_the_mask_with_context_and_lies_in_the_picture(case):
    (x0, y0, x1, y1), (width, height) = box, image_wh = case
    crop = plan_crop(box, image_wh, AREA)
    if crop is None:
        return
    left, top, right, bottom = crop
    assert 0 <= left <= x0 < x1 <= right <= width
    assert 0 <= top <= y0 < y1 <= bottom <= height
    context = max(MIN_CONTEXT_PX, CONTEXT * max(x1 - x0, y1 - y0)) - 1
    for inner, outer, edge in (
        (x0, left, 0),
        (y0, top, 0),
        (right, x1, width),
        (bottom, y1, height),
    ):
        assert inner - outer >= context or outer == edge or inner == edge
    whole_w, whole_h = right - left == width, bottom - top == height
    if not (whole_w or whole_h):
        assert (right - left) * (bottom - top) >= AREA - max(right - left, bottom - top)
        assert 1 / MAX_ASPECT - 0.01 <= (right - left) / (bottom - top) <= MAX_ASPECT + 0.01
    assert (right - left) * (bottom - top) <= 0.9 * width * height


@given(boxes())
def test_pictures_that_lose_little_are_seen_whole(case):
    box, (width, height) = case
    if width * height <= 1.5 * AREA:
        assert plan_crop(box, (width, height), AREA) is None


def test_a_mask_in_a_corner():
    assert plan_crop((0, 0, 100, 100), (6000, 4000), AREA) == (0, 0, 1024, 1024)


def test_a_mask_nearly_as_large_as_the_picture():
    assert plan_crop((100, 100, 5900, 3900), (6000, 4000), AREA) is None


def test_a_long_mask_gets_a_crop_that_is_not_too_long():
    left, top, right, bottom = plan_crop((1000, 2000, 4000, 2050), (6000, 4000), AREA)
    assert (right - left, bottom - top) == (6000, 3050)
