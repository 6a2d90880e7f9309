import io

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from preprocessing import codec
from preprocessing.codec import decode_grey, decode_image, decode_mask
from preprocessing.errors import ImageRejectedError
from tests import odd_pictures
from tests.preprocessing.pictures import (
    ASTRONAUT,
    close,
    encode,
    exif,
    stored_sideways,
    swapped_profile,
)

PICTURE = Image.fromarray(ASTRONAUT)
RED = Image.new("RGB", (12, 8), (255, 0, 0))


def with_alpha():
    alpha = np.full(ASTRONAUT.shape[:2], 255, np.uint8)
    alpha[:40], alpha[40:80] = 0, 128
    return np.dstack([ASTRONAUT, alpha])


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_fast_jpeg_equals_pillow(subsampling, progressive):
    odd = ASTRONAUT[:157, :133]
    file = encode(odd, "JPEG", quality=88, subsampling=subsampling, progressive=progressive)
    expected = np.asarray(Image.open(io.BytesIO(file)))
    np.testing.assert_array_equal(decode_image(file).pixels, expected)


@pytest.mark.parametrize("options", [{}, {"compress_level": 0}, {"optimize": True}])
def test_fast_png_is_exact(options):
    decoded = decode_image(encode(ASTRONAUT, "PNG", **options))
    np.testing.assert_array_equal(decoded.pixels, ASTRONAUT)
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width, decoded.height) == (200, 160)
    assert (decoded.alpha, decoded.warnings) == (None, ())


@pytest.mark.parametrize("options", [{}, {"compress_level": 0}, {"exif": exif(1)}])
def test_a_grey_png_is_a_mask_and_a_picture(options):
    levels = ASTRONAUT[..., 1]
    file = encode(levels, "PNG", **options)
    np.testing.assert_array_equal(decode_mask(file), levels)
    np.testing.assert_array_equal(decode_image(file).pixels, np.dstack([levels] * 3))


def test_a_grey_png_can_be_had_without_its_colours():
    file = encode(ASTRONAUT[..., 1], "PNG")
    grey, decoded = decode_grey(file), decode_image(file)
    np.testing.assert_array_equal(grey.grey, ASTRONAUT[..., 1])
    np.testing.assert_array_equal(grey.in_colours().pixels, decoded.pixels)
    assert (grey.width, grey.height, grey.header) == (200, 160, decoded.header)
    assert decoded.grey is not None
    assert 3 * grey.nbytes == decoded.nbytes


@pytest.mark.parametrize(
    "file",
    [
        encode(ASTRONAUT, "PNG"),
        encode(ASTRONAUT[..., 1], "JPEG"),
        encode(ASTRONAUT[..., 1], "PNG", transparency=3),
        encode(ASTRONAUT[..., 1], "PNG", icc_profile=swapped_profile()),
    ],
    ids=["colours", "JPEG", "transparent level", "profile"],
)
def test_what_is_not_grey_levels_alone_is_left_to_others(file):
    assert decode_grey(file) is None
    assert decode_image(file).grey is None


def test_a_damaged_grey_png_is_refused_as_any_other():
    file = encode(ASTRONAUT[..., 1], "PNG")
    damaged = file[:-300] + bytes(200) + file[-100:]
    for decode in (decode_grey, decode_image):
        with pytest.raises(ImageRejectedError, match="cannot be decoded"):
            decode(damaged)


def test_a_grey_png_with_one_transparent_level_is_composited():
    file = encode(ASTRONAUT[..., 1], "PNG", transparency=int(ASTRONAUT[0, 0, 1]))
    assert decode_image(file).pixels[0, 0].tolist() == [255, 255, 255]
    assert decode_mask(file)[0, 0] == 0


def test_png_metadata_does_not_change_the_pixels():
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "test")
    text.add_itxt("Title", "test")
    decoded = decode_image(encode(PICTURE, "PNG", pnginfo=text))
    np.testing.assert_array_equal(decoded.pixels, ASTRONAUT)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_lossless_formats(form, options):
    decoded = decode_image(encode(PICTURE, form, **options))
    np.testing.assert_array_equal(decoded.pixels, ASTRONAUT)
    assert decoded.header == codec.ImageHeader(form.lower(), 200, 160, 1, "RGB")


@pytest.mark.parametrize("form", ["AVIF", "HEIC"])
def test_avif_and_heic(form):
    file = encode(PICTURE, "AVIF", quality=90) if form == "AVIF" else odd_pictures.heic()
    decoded = decode_image(file)
    assert close(decoded.pixels, ASTRONAUT, 4)
    assert decoded.header == codec.ImageHeader(form.lower(), 200, 160, 1, "RGB")
    assert decoded.warnings == ()


def test_avif_alpha_orientation_and_profile():
    stored = stored_sideways(with_alpha(), 6)
    decoded = decode_image(encode(stored, "AVIF", quality=100, exif=exif(6)))
    assert close(decoded.alpha, with_alpha()[..., 3], 2)
    assert close(decoded.pixels[80:], ASTRONAUT[80:], 5)
    decoded = decode_image(encode(RED, "AVIF", icc_profile=swapped_profile()))
    assert close(decoded.pixels, np.full((8, 12, 3), (0, 0, 255)), 4)


def sixteen_bit_rgb():
    deep = ASTRONAUT.astype(np.uint16) * 257
    return cv2.imencode(".png", deep[..., ::-1])[1].tobytes()


GREY = np.asarray(PICTURE.convert("L"))
GREY_RGB = np.dstack([GREY] * 3)

ODD = {
    "CMYK JPEG": (encode(PICTURE.convert("CMYK"), "JPEG", quality=95), ASTRONAUT, 3),
    "grey JPEG": (encode(GREY, "JPEG", quality=95), GREY_RGB, 2),
    "grey PNG": (encode(GREY, "PNG"), GREY_RGB, 0),
    "16-bit grey PNG": (encode(GREY.astype(np.uint16) * 257, "PNG"), GREY_RGB, 0),
    "16-bit RGB PNG": (sixteen_bit_rgb(), ASTRONAUT, 0),
    "palette": (encode(PICTURE.quantize(256), "PNG"), ASTRONAUT, 6),
    "1-bit": (
        encode(PICTURE.convert("1"), "PNG"),
        np.asarray(PICTURE.convert("1").convert("RGB")),
        0,
    ),
    "LA, opaque": (encode(PICTURE.convert("LA"), "PNG"), GREY_RGB, 0),
    "RGBA, opaque": (encode(PICTURE.convert("RGBA"), "PNG"), ASTRONAUT, 0),
    "YCbCr TIFF": (encode(PICTURE.convert("YCbCr"), "TIFF"), ASTRONAUT, 2),
    "CMYK TIFF": (encode(PICTURE.convert("CMYK"), "TIFF"), ASTRONAUT, 0),
    "interlaced PNG": (encode(PICTURE, "PNG", interlace=1), ASTRONAUT, 0),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_colour_modes(name):
    file, expected, tolerance = ODD[name]
    decoded = decode_image(file)
    assert decoded.pixels.shape == (160, 200, 3)
    assert close(decoded.pixels, expected, tolerance)
    assert decoded.warnings == ()


def test_16_bit_grey_is_scaled_not_truncated():
    values = np.array([[0, 128, 129, 255], [32_767, 32_768, 65_407, 65_535]], np.uint16)
    expected = [[0, 0, 1, 1], [127, 128, 255, 255]]
    np.testing.assert_array_equal(decode_image(encode(values, "PNG")).pixels[..., 0], expected)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_kept_and_composited_on_white(form):
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    decoded = decode_image(encode(with_alpha(), form, **options))
    np.testing.assert_array_equal(decoded.alpha, with_alpha()[..., 3])
    assert (decoded.pixels[:40] == 255).all()
    assert close(decoded.pixels[40:80], ASTRONAUT[40:80] / 2 + 127.5, 1)
    np.testing.assert_array_equal(decoded.pixels[80:], ASTRONAUT[80:])
    assert decoded.warnings == ("Transparent parts were composited on white.",)


def test_palette_and_rgb_transparency_from_trns():
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    decoded = decode_image(encode(picture, "PNG", transparency=1))
    assert (decoded.pixels == 255).all()
    assert (decoded.alpha == 0).all()
    decoded = decode_image(encode(RED, "PNG", transparency=(255, 0, 0)))
    assert (decoded.alpha == 0).all()


def test_grey_with_alpha():
    grey = Image.merge("LA", [Image.new("L", (4, 4), 100), Image.new("L", (4, 4), 0)])
    decoded = decode_image(encode(grey, "PNG"))
    assert (decoded.pixels == 255).all()
    assert (decoded.alpha == 0).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(form, orientation):
    stored = stored_sideways(ASTRONAUT, orientation)
    decoded = decode_image(encode(stored, form, exif=exif(orientation), quality=95))
    assert (decoded.width, decoded.height) == (200, 160)
    assert close(decoded.pixels, ASTRONAUT, 4)


def test_orientation_turns_alpha_too():
    stored = stored_sideways(with_alpha(), 6)
    decoded = decode_image(encode(stored, "PNG", exif=exif(6)))
    np.testing.assert_array_equal(decoded.alpha, with_alpha()[..., 3])


def test_unknown_orientation_is_none():
    decoded = decode_image(encode(PICTURE, "PNG", exif=exif(99)))
    np.testing.assert_array_equal(decoded.pixels, ASTRONAUT)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_broken_exif_is_reported(form):
    decoded = decode_image(encode(PICTURE, form, exif=b"Exif\0\0not a TIFF header"))
    assert decoded.warnings == ("The EXIF data is broken; it was ignored.",)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_profile_is_converted(form):
    options = {"lossless": True} if form == "WEBP" else {}
    decoded = decode_image(encode(RED, form, icc_profile=swapped_profile(), **options))
    assert close(decoded.pixels, np.full((8, 12, 3), (0, 0, 255)), 3)
    assert decoded.warnings == ()


def test_srgb_profile_changes_nothing():
    profile = swapped_profile().replace("swap".encode("utf-16-be"), "sRGB".encode("utf-16-be"))
    decoded = decode_image(encode(PICTURE, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(decoded.pixels, ASTRONAUT)


@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()[:200]])
def test_broken_profile_is_ignored_and_reported(profile):
    decoded = decode_image(encode(PICTURE, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(decoded.pixels, ASTRONAUT)
    assert "broken" in decoded.warnings[0]


def test_profile_of_another_colour_space_is_ignored():
    decoded = decode_image(encode(GREY, "PNG", icc_profile=swapped_profile()))
    np.testing.assert_array_equal(decoded.pixels, GREY_RGB)
    assert len(decoded.warnings) == 1


@pytest.mark.parametrize(("form", "frames"), [("GIF", 2), ("PNG", 3), ("WEBP", 3), ("TIFF", 2)])
def test_first_frame_of_an_animation(form, frames):
    pages = [RED, Image.new("RGB", (12, 8), (0, 255, 0)), Image.new("RGB", (12, 8), (0, 0, 255))]
    options = {"lossless": True} if form == "WEBP" else {}
    decoded = decode_image(
        encode(pages[0], form, save_all=True, append_images=pages[1:], **options)
    )
    assert (decoded.pixels == (255, 0, 0)).all()
    assert decoded.header.frames == frames
    assert decoded.warnings == ("Only the first frame of the animation is used.",)
