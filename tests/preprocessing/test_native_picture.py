import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image

from preprocessing.colour_lut import apply_lut
from preprocessing.errors import ImageRejectedError
from preprocessing.native_picture import (
    NativePicture,
    decode_native,
    encode_native,
    from_srgb_pixels,
    proxy,
    recoloured,
    to_srgb_pixels,
)
from preprocessing.white_balance import Light, gains_for
from tests.preprocessing.pictures import ASTRONAUT, encode, exif, stored_sideways, swapped_profile

DEEP = ASTRONAUT.astype(np.uint16) * 257
DEEP[..., 2] ^= 0x00FF


def deep_file(extension, pixels=DEEP):
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return cv2.imencode(extension, np.ascontiguousarray(pixels[..., order]))[1].tobytes()


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_16_bits_stay_16_bits(extension):
    picture = decode_native(deep_file(extension))
    np.testing.assert_array_equal(picture.pixels, DEEP)
    assert picture.is_deep
    assert (picture.alpha, picture.profile) == (None, None)


def test_16_bit_alpha():
    alpha = np.full(DEEP.shape[:2], 40_000, np.uint16)
    picture = decode_native(deep_file(".png", np.dstack([DEEP, alpha])))
    np.testing.assert_array_equal(picture.alpha, alpha)
    np.testing.assert_array_equal(picture.pixels, DEEP)
    again = decode_native(encode_native(picture, "png"))
    np.testing.assert_array_equal(again.alpha, alpha)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_profile_is_kept_and_the_values_are_not_converted(form):
    options = {"lossless": True} if form == "WEBP" else {"quality": 98}
    data = encode(ASTRONAUT, form, icc_profile=swapped_profile(), **options)
    picture = decode_native(data)
    assert picture.profile == swapped_profile()
    assert np.abs(picture.pixels.astype(int) - ASTRONAUT).mean() < 2


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_the_profile_comes_out_again(form, deep):
    pixels = DEEP if deep else ASTRONAUT
    header = decode_native(encode(ASTRONAUT, "PNG")).header
    data = encode_native(NativePicture(pixels, None, swapped_profile(), header), form)
    again = decode_native(data)
    assert again.profile == swapped_profile()
    assert again.header.format == form
    if form == "png":
        np.testing.assert_array_equal(again.pixels, pixels)
    else:
        assert np.abs(again.pixels.astype(int) - ASTRONAUT).mean() < 2
    assert Image.open(__import__("io").BytesIO(data)).info["icc_profile"] == swapped_profile()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation):
    stored = stored_sideways(ASTRONAUT, orientation)
    picture = decode_native(encode(stored, "PNG", exif=exif(orientation)))
    np.testing.assert_array_equal(picture.pixels, ASTRONAUT)
    deep = Image.fromarray(stored_sideways(ASTRONAUT, orientation))
    assert deep.size in {(200, 160), (160, 200)}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bits(orientation):
    data = deep_file(".png", stored_sideways(DEEP, orientation))
    tags = exif(orientation).removeprefix(b"Exif\0\0")
    chunk = len(tags).to_bytes(4, "big") + b"eXIf" + tags
    chunk += __import__("zlib").crc32(b"eXIf" + tags).to_bytes(4, "big")
    picture = decode_native(data[:33] + chunk + data[33:])
    np.testing.assert_array_equal(picture.pixels, DEEP)


@pytest.mark.parametrize("mode", ["L", "CMYK", "LA", "1", "I;16"])
def test_what_is_no_rgb_becomes_srgb(mode):
    picture = Image.fromarray(ASTRONAUT)
    if mode == "I;16":
        data = encode(DEEP[..., 0], "PNG")
    else:
        data = encode(picture.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    native = decode_native(data)
    assert native.pixels.shape == ASTRONAUT.shape
    assert native.pixels.dtype == np.uint8
    assert native.profile is None


def test_to_srgb_and_back():
    header = decode_native(encode(ASTRONAUT, "PNG")).header
    picture = NativePicture(ASTRONAUT, None, swapped_profile(), header)
    srgb = to_srgb_pixels(picture)
    assert np.abs(srgb[..., ::-1].astype(int) - ASTRONAUT).mean() < 1
    back = from_srgb_pixels(srgb, swapped_profile())
    assert np.abs(back.astype(int) - ASTRONAUT).mean() < 1
    np.testing.assert_array_equal(from_srgb_pixels(srgb, None), srgb)


def test_a_proxy_is_smaller_and_of_the_same_depth():
    picture = decode_native(deep_file(".png"))
    small = proxy(picture, 50)
    assert (small.pixels.shape, small.pixels.dtype) == ((40, 50, 3), np.uint16)
    assert proxy(picture, 500) is picture


def test_a_broken_profile_is_dropped():
    assert decode_native(encode(ASTRONAUT, "PNG", icc_profile=b"no profile")).profile is None


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_deep_files_that_are_cut_short_are_refused(extension):
    data = deep_file(extension)
    with pytest.raises(ImageRejectedError) as caught:
        decode_native(data[: len(data) // 2])
    assert caught.value.code == "image_unreadable"


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_colours_are_changed_strip_by_strip(form, deep):
    """What comes out is what changing the whole would give; the whole is never there."""
    pixels = np.tile(DEEP if deep else ASTRONAUT, (10, 8, 1))
    header = decode_native(encode(ASTRONAUT, "PNG")).header
    picture = NativePicture(pixels, None, swapped_profile(), header)
    lut = gains_for(Light(3600, 12)).lut()
    tracemalloc.start()
    data = recoloured(picture, lut, form, threads=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The file's buffer grows by an eighth; two strips are at work, and one waits for its turn.
    assert peak < 2 * len(data) + pixels.nbytes / 2
    whole = NativePicture(apply_lut(lut, pixels), None, swapped_profile(), header)
    assert data == encode_native(whole, form)
