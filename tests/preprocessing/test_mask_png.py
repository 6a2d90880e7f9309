import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from preprocessing.boxed_mask import BoxedMask
from preprocessing.codec import encode_boxed_mask, encode_mask_png, encode_png
from preprocessing.mask_png import encode_outline, outline


def written(mask):
    return encode_outline(outline(BoxedMask.of(mask)), mask.shape)


def check(mask):
    """Two decoders, of which one is strict about checksums, read what was written."""
    png = written(mask)
    picture = Image.open(io.BytesIO(png))
    assert (picture.mode, picture.size) == ("L", mask.shape[::-1])
    np.testing.assert_array_equal(np.asarray(picture), mask * np.uint8(255))
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, mask * np.uint8(255))
    return png


SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 700))


@given(st.data(), SHAPES)
def test_any_mask_comes_back(data, shape):
    seldom = arrays.arrays(np.bool_, shape, elements=st.booleans(), fill=st.booleans())
    check(data.draw(seldom))


@pytest.mark.parametrize("first", [range(1, 260), range(260, 1100, 7), [5000, 70_000]])
def test_runs_of_every_length(first):
    for length in first:
        mask = np.zeros((2, length + 5), np.bool_)
        mask[0, 2 : 2 + length] = True
        mask[1, 4:] = True
        check(mask)


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 258), (3, 257), (300, 259), (1500, 2000)])
def test_masks_of_one_colour(shape, value):
    check(np.full(shape, value))


def test_a_shape_is_small_and_in_one_piece():
    mask = cv2.circle(np.zeros((1024, 1024), np.uint8), (500, 600), 300, 1, -1) > 0
    png = check(mask)
    assert len(png) < 4000 < len(encode_png(mask * np.uint8(255)))
    assert zlib.crc32(png[37:-16]) == int.from_bytes(png[-16:-12], "big")


def test_the_outline_counts_the_filters_byte():
    mask = np.zeros((3, 4), np.bool_)
    mask[1, 1:3] = mask[2, 3] = True
    assert outline(BoxedMask.of(mask)).tolist() == [5 + 2, 5 + 4, 10 + 4, 10 + 5]


@given(st.data(), st.tuples(*[st.integers(0, 9)] * 2), st.tuples(*[st.integers(0, 5)] * 2))
def test_a_mask_in_a_box_is_that_of_the_picture(data, before, after):
    patch = data.draw(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
    whole = np.pad(patch, list(zip(before, after, strict=True)))
    (top, left), (height, width) = before, patch.shape
    boxed = BoxedMask(patch, (left, top, left + width, top + height), whole.shape)
    np.testing.assert_array_equal(boxed.spread(), whole)
    assert outline(boxed).tolist() == outline(BoxedMask.of(whole)).tolist()
    soft = BoxedMask(patch * np.uint8(200), boxed.box, boxed.shape_hw)
    assert encode_boxed_mask(soft) == encode_mask_png(whole * np.uint8(200))


def test_levels_of_black_and_white_are_the_mask_that_they_are():
    mask = np.zeros((40, 50), np.bool_)
    mask[3:9, 4:30] = True
    assert encode_mask_png(mask * np.uint8(255)) == encode_mask_png(mask)
    for level in (1, 254):
        odd = np.where(mask, np.uint8(255), np.uint8(0))
        odd[0, 0] = level
        assert encode_mask_png(odd) == encode_png(odd)


def test_noise_is_left_to_the_general_encoder():
    mask = np.random.default_rng(0).random((200, 300)) < 0.5
    assert encode_mask_png(mask) == encode_png(mask * np.uint8(255))
    quiet = np.zeros((200, 300), np.bool_)
    assert encode_mask_png(quiet) == written(quiet)
