import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from preprocessing.png_writer import write_png, write_png_strips
from tests.preprocessing.pictures import ASTRONAUT, swapped_profile


def read(data):
    """As OpenCV, which is libpng, reads it: RGB order, own depth."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([None, 3, 4]),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 2**32),
)
def test_what_is_written_is_read(width, height, channels, depth, seed):
    shape = (height, width) if channels is None else (height, width, channels)
    levels = np.random.default_rng(seed).integers(0, np.iinfo(depth).max + 1, shape, depth)
    np.testing.assert_array_equal(read(write_png(levels)), levels)


def test_grey_with_alpha_is_read_by_pillow():
    levels = np.random.default_rng(0).integers(0, 256, (9, 7, 2), np.uint8)
    opened = Image.open(io.BytesIO(write_png(levels)))
    assert opened.mode == "LA"
    np.testing.assert_array_equal(np.asarray(opened), levels)


def test_a_picture_of_many_strips_is_whole():
    large = np.tile(ASTRONAUT, (9, 7, 1))
    data = write_png(large)
    assert data.count(b"IDAT") > 5
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), large)


def test_the_profile_is_in_it():
    opened = Image.open(io.BytesIO(write_png(ASTRONAUT, profile=swapped_profile())))
    assert opened.info["icc_profile"] == swapped_profile()


def test_a_view_of_a_larger_picture_is_written_as_it_is_seen():
    view = ASTRONAUT[10:50:2, ::-1]
    np.testing.assert_array_equal(read(write_png(view)), view)


def test_it_is_not_much_larger_than_zlibs():
    stream = io.BytesIO()
    Image.fromarray(ASTRONAUT).save(stream, "PNG")
    assert len(write_png(ASTRONAUT)) < 1.25 * len(stream.getvalue())
    empty = np.zeros((1024, 1024), np.uint8)
    assert len(write_png(empty)) < 4 * len(zlib.compress(empty.tobytes(), 1))


def test_five_channels_are_refused():
    with pytest.raises(ValueError, match="1 to 4 channels, not 5"):
        write_png_strips(lambda rows: ASTRONAUT[rows], (4, 4), channels=5, bits=8)
