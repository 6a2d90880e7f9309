import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.errors import SizeRejectedError
from preprocessing.sizes import check_size, fit_area

sides = st.integers(64, 8000)


@given(sides, sides, st.integers(256 * 256, 2048 * 2048), st.sampled_from([8, 16, 32]))
def test_area_and_aspect_are_near(width, height, area, multiple):
    new_width, new_height = fit_area((width, height), area, multiple=multiple)
    assert new_width % multiple == new_height % multiple == 0
    assert min(new_width, new_height) >= multiple
    exact_width = (area * width / height) ** 0.5
    for side, exact in ((new_width, exact_width), (new_height, area / exact_width)):
        assert abs(side - exact) <= multiple / 2 + 1e-6 or side == multiple


@pytest.mark.parametrize(
    ("size_wh", "expected"),
    [((1024, 1024), (1024, 1024)), ((1, 1), (1024, 1024)), ((1920, 1080), (1360, 768))],
)  # fmt: skip
def test_examples(size_wh, expected):
    assert fit_area(size_wh, 1024 * 1024) == expected


def test_never_below_one_multiple():
    assert fit_area((50_000, 1), 4096) == (14_304, 16)


@pytest.mark.parametrize(
    ("size_wh", "words"),
    [
        ((1000, 1024), ["multiples of 16", "1000 x 1024"]),
        ((48, 1024), ["at least 64", "48 x 1024"]),
        ((0, 1024), ["at least 64", "0 x 1024"]),
        ((-16, -16), ["at least 64", "-16 x -16"]),
        ((2048, 2064), ["4194304", "4227072"]),
    ],
)
def test_unsupported_sizes(size_wh, words):
    with pytest.raises(SizeRejectedError) as caught:
        check_size(size_wh)
    assert caught.value.code == "unsupported_size"
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize("size_wh", [(64, 64), (1024, 1024), (2048, 2048), (1328, 1328)])
def test_supported_sizes(size_wh):
    check_size(size_wh)


def test_limits_can_be_set():
    with pytest.raises(SizeRejectedError, match="at least 256"):
        check_size((240, 512), min_side=256)
    check_size((4096, 4096), max_area=4096 * 4096)
