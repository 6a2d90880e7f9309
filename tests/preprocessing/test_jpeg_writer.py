import io
import threading

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from preprocessing.jpeg_writer import write_jpeg
from tests.preprocessing.pictures import ASTRONAUT, swapped_profile

LARGE = np.tile(ASTRONAUT, (3, 4, 1))


def written(pixels, **options):
    height, width = pixels.shape[:2]
    return write_jpeg(lambda rows: pixels[rows], (width, height), quality=92, **options)


@pytest.mark.parametrize(
    "shape_hw", [(1, 1), (7, 300), (128, 64), (129, 65), (260, 511), (ASTRONAUT.shape[:2])]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_strips_decode_to_what_one_encoder_writes(shape_hw, threads):
    pixels = np.ascontiguousarray(LARGE[: shape_hw[0], : shape_hw[1]])
    whole = simplejpeg.encode_jpeg(pixels, quality=92, colorsubsampling="444")
    expected = np.asarray(Image.open(io.BytesIO(whole)))
    data = written(pixels, threads=threads)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), expected)
    np.testing.assert_array_equal(simplejpeg.decode_jpeg(data, strict=True), expected)


def test_so_wide_that_a_restart_comes_after_fewer_rows():
    wide = np.tile(ASTRONAUT, (1, 300, 1))
    whole = simplejpeg.encode_jpeg(wide, quality=92, colorsubsampling="444")
    np.testing.assert_array_equal(
        simplejpeg.decode_jpeg(written(wide), strict=True), simplejpeg.decode_jpeg(whole)
    )


def test_the_profile_is_kept_even_in_several_segments():
    profile = swapped_profile()
    for kept in (profile, profile + bytes(150_000)):
        opened = Image.open(io.BytesIO(written(ASTRONAUT, profile=kept)))
        assert opened.info["icc_profile"] == kept


def test_no_more_strips_are_made_at_once_than_there_are_threads():
    at_work, most, lock = 0, 0, threading.Lock()

    def strip_of(rows):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        pixels = LARGE[rows].copy()
        with lock:
            at_work -= 1
        return pixels

    write_jpeg(strip_of, (LARGE.shape[1], LARGE.shape[0]), quality=90, threads=2)
    assert 1 <= most <= 2


def test_a_file_without_a_second_strip_has_no_restarts():
    data = written(ASTRONAUT[:100])
    assert b"\xff\xdd\x00\x04" not in data
    assert b"\xff\xdd\x00\x04" in written(ASTRONAUT)
