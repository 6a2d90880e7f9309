"""Files that are damaged, too large or of other formats: each is refused by a sentence."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from preprocessing import codec
from preprocessing.codec import ImageLimits, decode_image, decode_mask
from preprocessing.errors import ImageRejectedError
from tests import odd_pictures
from tests.preprocessing.pictures import (
    ASTRONAUT,
    encode,
    exif,
    png,
    swapped_profile,
)

PICTURE = Image.fromarray(ASTRONAUT)


def rejected(file, limits=None):
    with pytest.raises(ImageRejectedError) as caught:
        decode_image(file, limits or ImageLimits())
    assert caught.value.message.endswith(".")
    return caught.value


JPEG = encode(PICTURE, "JPEG", quality=90)
PNG = encode(PICTURE, "PNG")


@pytest.mark.parametrize(
    "file",
    [
        b"",
        JPEG[:3],
        JPEG[: len(JPEG) // 2],
        JPEG[:-200],
        JPEG[: len(JPEG) // 2] + b"\xff\xd9",
        PNG[:20],
        PNG[: len(PNG) // 2],
        PNG[: len(PNG) // 2] + b"\xff" + PNG[len(PNG) // 2 + 1 :],
        png(64, 64, rows=b"\0" * 1000),
        encode(PICTURE, "WEBP")[:-500],
        encode(PICTURE, "GIF")[:900],
        encode(PICTURE, "BMP")[:-900],
        encode(PICTURE, "TIFF")[:900],
        encode(Image.new("F", (8, 8)), "TIFF"),
        encode(Image.new("LAB", (8, 8)), "TIFF"),
        b"BM and then some text",
    ],
    ids=range(16),
)
def test_damaged_files_are_refused(file):
    assert rejected(file).code == "image_unreadable"


@pytest.mark.parametrize(
    "file",
    [
        b"\0",
        b"just text",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!DOCTYPE html><title>photo.png</title>",
        b"%PDF-1.7",
        b"RIFF\x24\0\0\0WAVEfmt ",
        encode(PICTURE, "PPM"),
        encode(PICTURE, "ICO"),
    ],
)
def test_other_formats_are_refused(file):
    error = rejected(file)
    assert error.code == "unsupported_format"
    assert "png, jpeg, webp" in error.message


BOMB = png(16_000, 16_000, depth=1, colour=0)


@pytest.mark.parametrize(
    ("file", "limits", "code", "words"),
    [
        (PNG, ImageLimits(max_bytes=100), "image_too_large", ["100 bytes", str(len(PNG))]),
        (png(30_000, 30_000), ImageLimits(), "image_too_large", ["16384", "30000 x 30000"]),
        (BOMB, ImageLimits(), "image_too_large", ["50000000", "256000000"]),
        (PNG, ImageLimits(max_pixels=31_999), "image_too_large", ["31999", "32000"]),
        (PNG, ImageLimits(max_side=199), "image_too_large", ["199", "200 x 160"]),
        (png(1, 1), ImageLimits(), "image_too_small", ["2", "1 x 1"]),
        (png(8, 1), ImageLimits(), "image_too_small", ["2", "8 x 1"]),
        (png(10, 501), ImageLimits(), "image_aspect", ["50", "10 x 501"]),
    ],
)  # fmt: skip
def test_limits_name_limit_and_actual(file, limits, code, words):
    error = rejected(file, limits)
    assert error.code == code
    for word in words:
        assert word in error.message


def test_limits_are_inclusive():
    exact = ImageLimits(
        max_bytes=len(PNG), max_pixels=32_000, max_side=200, min_side=160, max_aspect=1.25
    )
    assert codec.probe(PNG, exact) == codec.ImageHeader("png", 200, 160, 1, "RGB")


def test_probe_decodes_nothing():
    empty = png(7_000, 7_000)  # a complete decode would fail: there are no pixels
    assert codec.probe(empty) == codec.ImageHeader("png", 7_000, 7_000, 1, "RGB")


def test_a_webp_canvas_is_checked_before_its_pixels():
    canvas = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + (16_382).to_bytes(3, "little") * 2
    frame = encode(Image.new("RGB", (8, 8)), "WEBP")[12:]
    file = b"RIFF" + (4 + len(canvas) + len(frame)).to_bytes(4, "little") + b"WEBP" + canvas + frame
    assert rejected(file).code in {"image_too_large", "image_unreadable"}


@pytest.mark.parametrize("before", [b"", b"\0"])  # at an even place, and at an odd one
def test_jpeg_with_too_many_scans(before):
    error = rejected(JPEG + before + b"\xff\xda" * 600)
    assert (error.code, "500" in error.message, "601" in error.message) == (
        "image_unreadable", True, True,
    )  # fmt: skip


def test_trailing_bytes_are_harmless():
    np.testing.assert_array_equal(decode_image(PNG + b"PK\3\4 zip").pixels, ASTRONAUT)
    assert decode_image(JPEG + b"PK\3\4 zip").pixels.shape == (160, 200, 3)


SMALL = ASTRONAUT[::8, ::8]
HEALTHY = [
    encode(SMALL, form, **options)
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    for options in ({}, {"exif": exif(6), "icc_profile": swapped_profile()})
] + [odd_pictures.heic()]


@settings(deadline=None)
@given(
    st.sampled_from(HEALTHY),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 2),
)
def test_damage_is_read_or_refused_and_nothing_else(file, changes, length):
    damaged = bytearray(file)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    for decode in (decode_image, decode_mask):
        with contextlib.suppress(ImageRejectedError):
            decode(bytes(damaged[: int(length * len(damaged))]), ImageLimits(max_pixels=10**6))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_too_many_frames_are_refused(form):
    pages = [Image.new("RGB", (32, 32), (90 * i, 0, 0)) for i in range(3)]
    file = encode(pages[0], form, save_all=True, append_images=pages[1:])
    assert decode_image(file, ImageLimits(max_frames=3)).header.frames == 3
    error = rejected(file, ImageLimits(max_frames=2))
    assert (error.code, "at most 2 frames; it has 3" in error.message) == ("image_too_large", True)
