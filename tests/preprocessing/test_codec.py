import contextlib
import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from skimage import data

from preprocessing import codec
from preprocessing.codec import ImageLimits, decode_image, decode_mask
from preprocessing.errors import ImageRejectedError
from tests import odd_pictures
from tests.preprocessing.pictures import (
    ASTRONAUT,
    encode,
    exif,
    png,
    stored_sideways,
    swapped_profile,
)

PICTURE = Image.fromarray(ASTRONAUT)
RED = Image.new("RGB", (12, 8), (255, 0, 0))


def close(actual, expected, tolerance):
    return np.abs(actual.astype(int) - expected.astype(int)).mean() <= tolerance


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


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_too_many_frames_are_refused(form):
    pages = [Image.new("RGB", (32, 32), (90 * i, 0, 0)) for i in range(3)]
    file = encode(pages[0], form, save_all=True, append_images=pages[1:])
    assert decode_image(file, ImageLimits(max_frames=3)).header.frames == 3
    error = rejected(file, ImageLimits(max_frames=2))
    assert (error.code, "at most 2 frames; it has 3" in error.message) == ("image_too_large", True)


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


def test_jpeg_with_too_many_scans():
    error = rejected(JPEG + b"\xff\xda" * 600)
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


MASK = np.zeros((160, 200), np.uint8)
MASK[30:90, 50:120] = 255


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_mask_modes(mode):
    form = "TIFF" if mode == "CMYK" else "PNG"
    np.testing.assert_array_equal(
        decode_mask(encode(Image.fromarray(MASK).convert(mode), form)), MASK
    )


def test_mask_of_16_bits():
    np.testing.assert_array_equal(decode_mask(encode(MASK.astype(np.uint16) * 257, "PNG")), MASK)


def test_mask_is_composited_on_black_and_upright():
    white = np.full_like(MASK, 255)
    stored = stored_sideways(np.dstack([white, white, white, MASK]), 6)
    np.testing.assert_array_equal(decode_mask(encode(stored, "PNG", exif=exif(6))), MASK)


WHOLE_MASK = encode(MASK, "PNG")


@pytest.mark.parametrize(
    "file",
    [
        WHOLE_MASK[:-40],
        WHOLE_MASK[:-60] + bytes(40) + WHOLE_MASK[-20:],
        png(64, 64, colour=0, rows=b"\0" * 1000),
        png(64, 64, colour=0),
    ],
    ids=["cut", "overwritten", "few rows", "no rows"],
)
def test_damaged_mask_is_refused(file):
    for decode in (decode_mask, decode_image):
        with pytest.raises(ImageRejectedError):
            decode(file)


def test_png_round_trips():
    np.testing.assert_array_equal(decode_image(codec.encode_png(ASTRONAUT)).pixels, ASTRONAUT)
    np.testing.assert_array_equal(decode_mask(codec.encode_png(GREY)), GREY)
    both = decode_image(codec.encode_png(ASTRONAUT, alpha=MASK))
    np.testing.assert_array_equal(both.alpha, MASK)
    np.testing.assert_array_equal(both.pixels[MASK == 255], ASTRONAUT[MASK == 255])
    np.testing.assert_array_equal(decode_mask(codec.encode_mask_png(MASK > 0)), MASK)


@pytest.mark.parametrize("encoder", [codec.encode_jpeg, codec.encode_webp])
def test_lossy_formats_come_close(encoder):
    photo = data.coffee()
    better, worse = encoder(photo, quality=95), encoder(photo, quality=30)
    assert len(worse) < len(better)
    assert close(decode_image(better).pixels, photo, 3)
    assert close(decode_image(encoder(photo[::2, ::-2])).pixels, photo[::2, ::-2], 5)


def test_webp_has_a_longest_side():
    with pytest.raises(ImageRejectedError, match=r"16383 pixels; it is 16384 x 4") as caught:
        codec.encode_webp(np.zeros((4, 16_384, 3), np.uint8))
    assert caught.value.code == "image_too_large"


def test_nothing_is_written_to():
    frozen = ASTRONAUT.copy()
    frozen.setflags(write=False)
    codec.encode_png(frozen, alpha=MASK)
    codec.encode_jpeg(frozen)
    codec.encode_webp(frozen)
