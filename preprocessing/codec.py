"""Picture files to arrays and back: formats, limits, colour, orientation.

JPEG and plain PNG take fast decoders; everything else, and every header, goes through Pillow.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import simplejpeg
from PIL import Image as PillowImage
from PIL.ImageFile import ImageFile

from preprocessing.arrays import Image, Mask, Plane
from preprocessing.boxed_mask import BoxedMask
from preprocessing.colour import (
    orientation_of,
    over,
    pixels_of,
    split_alpha,
    to_srgb,
    turn_upright,
    turned,
)
from preprocessing.decoded_image import DecodedImage, GreyImage
from preprocessing.errors import ImageRejectedError
from preprocessing.image_header import (
    DEFAULT_LIMITS,
    ImageHeader,
    ImageLimits,
    open_image,
    probe,
    reading,
)
from preprocessing.mask_png import encode_outline, outline
from preprocessing.masks import white
from preprocessing.patched import PatchedImage
from preprocessing.png_writer import write_png, write_png_strips

__all__ = [
    "DecodedImage",
    "GreyImage",
    "ImageHeader",
    "ImageLimits",
    "decode_grey",
    "decode_image",
    "decode_mask",
    "encode_jpeg",
    "encode_mask_png",
    "encode_png",
    "encode_webp",
    "probe",
]

WEBP_MAX_SIDE = 16_383  # RFC 9649: 14 bits per side
# A PNG with any other chunk (transparency, EXIF, XMP, animation) is decoded by Pillow.
_PLAIN_PNG_CHUNKS = frozenset(b"IDAT IEND pHYs tIME tEXt sRGB gAMA cHRM iCCP sBIT bKGD".split())
_EXIF_AS_TEXT = b"tEXtRaw profile type exif"
_GREY, _RGB = 0, 2  # PNG's colour types
_MAX_PNG_CHUNKS = 10_000
_MOST_TURNS = 0.02  # black to white or back, per pixel; above, the other writer is faster


def decode_grey(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> GreyImage | None:
    """Decode a PNG of grey levels alone; None for any other file.

    Raises:
        ImageRejectedError: as `decode_image`.
    """
    if not _is_plain_png(data, _GREY):
        return None
    opened, header = open_image(data, limits)
    return _grey_of(data, opened, header)


def decode_image(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> DecodedImage:
    """Decode the first frame to upright sRGB.

    EXIF orientation is applied once, an ICC profile converted, 16 bits scaled to 8.

    Raises:
        ImageRejectedError: as `probe`; image_unreadable also for damaged or missing pixels.
    """
    opened, header = open_image(data, limits)
    with reading(header.format):
        grey = _grey_of(data, opened, header)
        if grey is not None:
            return grey.in_colours()
        pixels = fast_pixels(data, opened, header)
        if pixels is None:
            opened.load()
        orientation, notes = orientation_of(opened)
        profile = opened.info.get("icc_profile")
        notes += _frame_notes(header)
        if pixels is not None and not profile:
            upright = np.ascontiguousarray(turned(pixels, orientation))
            return DecodedImage(upright, None, header, notes)
        picture = opened if pixels is None else PillowImage.fromarray(pixels)
        colours, alpha = split_alpha(picture)
        srgb, profile_notes = to_srgb(colours, profile)
        upright = pixels_of(turn_upright(srgb, orientation))
    return _compose(upright, _plane(alpha, orientation), header, notes + profile_notes)


def decode_mask(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Plane:
    """Decode a mask: (H, W) uint8, white = edit.

    As `decode_layers`, composited on black where there is alpha.

    Raises:
        ImageRejectedError: as `decode_image`.
    """
    grey, opacity, _ = decode_layers(data, limits)
    return grey if opacity is None else over(grey, opacity, 0)


def decode_layers(
    data: bytes, limits: ImageLimits = DEFAULT_LIMITS
) -> tuple[Plane, Plane | None, tuple[str, ...]]:
    """Decode luminance and alpha, (H, W) uint8 each, alpha None where there is none, and warnings.

    Luminance is ITU-R 601-2, as Pillow's convert, not composited. Colour profiles are ignored: the
    values are data.

    Raises:
        ImageRejectedError: as `decode_image`.
    """
    opened, header = open_image(data, limits)
    with reading(header.format):
        plain = _fast_grey(data, opened, header)
        if plain is not None:
            return plain, None, ()
        opened.load()
        orientation, notes = orientation_of(opened)
        colours, alpha = split_alpha(opened)
        grey = pixels_of(turn_upright(colours.convert("L"), orientation))
    return grey, _plane(alpha, orientation), notes + _frame_notes(header)


def encode_png(picture: Image | Plane | PatchedImage, *, alpha: Plane | None = None) -> bytes:
    """Losslessly; pixels (H, W, 3) or (H, W) uint8, alpha (H, W) uint8 with colour only.

    For speed rather than size: `png_writer.py`.
    """
    if alpha is None and isinstance(picture, np.ndarray):
        return write_png(picture)

    def strip(rows: slice) -> Image:
        own = picture.rows(rows) if isinstance(picture, PatchedImage) else picture[rows]
        return own if alpha is None else np.dstack([own, alpha[rows]])

    size_wh = picture.shape[1], picture.shape[0]
    return write_png_strips(strip, size_wh, channels=3 if alpha is None else 4, bits=8)


def encode_mask_png(levels: Mask | Plane) -> bytes:
    """8-bit grey PNG of a mask, 255 = edit, or of a soft one's levels; (H, W).

    Levels that are all 0 or 255 give the bytes of the mask that they are.

    >>> bool(decode_mask(encode_mask_png(np.eye(4, dtype=bool)))[0, 0] == 255)
    True
    """
    return encode_boxed_mask(BoxedMask.of(levels))


def encode_boxed_mask(boxed: BoxedMask) -> bytes:
    """The same of a mask in a box, which costs as much as its box."""
    boxed = boxed.hardened()
    if boxed.levels.dtype == np.bool_:
        turns = outline(boxed)
        if len(turns) <= boxed.levels.size * _MOST_TURNS + 2 * len(boxed.levels):
            return encode_outline(turns, boxed.shape_hw)
    return encode_png(white(boxed.spread()))


def encode_jpeg(pixels: Image, quality: int = 90) -> bytes:
    """Baseline JPEG, 4:2:0; pixels (H, W, 3) uint8, quality 1 to 100."""
    contiguous = np.ascontiguousarray(pixels)
    return bytes(simplejpeg.encode_jpeg(contiguous, quality=quality, colorsubsampling="420"))


def encode_webp(pixels: Image, quality: int = 90) -> bytes:
    """Lossy WebP; pixels (H, W, 3) uint8, quality 1 to 100.

    Raises:
        ImageRejectedError: image_too_large, a side is longer than the format can hold.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > WEBP_MAX_SIDE:
        raise ImageRejectedError(
            "image_too_large",
            f"A side of a WebP may have at most {WEBP_MAX_SIDE} pixels; it is {width} x {height}.",
        )
    return _imencode(".webp", _bgr(pixels), cv2.IMWRITE_WEBP_QUALITY, quality)


def fast_pixels(data: bytes, opened: ImageFile, header: ImageHeader) -> Image | None:
    """Stored RGB pixels from a faster decoder than Pillow; None where only Pillow gets it right.

    Raises what a decoder raises on a damaged file: call it within `reading`.
    """
    if header.format == "jpeg" and header.mode == "RGB":
        pixels = simplejpeg.decode_jpeg(data, strict=True)
    elif header.format == "png" and _is_plain_png(data, _RGB):
        pixels = _imdecode(data, cv2.IMREAD_COLOR_RGB)
    else:
        return None
    return _promised(pixels, (opened.height, opened.width, 3))


def _grey_of(data: bytes, opened: ImageFile, header: ImageHeader) -> GreyImage | None:
    if opened.info.get("icc_profile"):
        return None
    with reading(header.format):
        grey = _fast_grey(data, opened, header)
    return None if grey is None else GreyImage(grey, header)


def _fast_grey(data: bytes, opened: ImageFile, header: ImageHeader) -> Plane | None:
    """As `fast_pixels` for a PNG of grey levels, which most masks are; such a PNG is upright."""
    if header.format != "png" or not _is_plain_png(data, _GREY):
        return None
    return _promised(_imdecode(data, cv2.IMREAD_GRAYSCALE), (opened.height, opened.width))


def _imdecode(data: bytes, flag: int) -> Image | Plane | None:
    buffer = np.frombuffer(data, np.uint8)
    pixels: Image | None = cv2.imdecode(buffer, flag | cv2.IMREAD_IGNORE_ORIENTATION)  # type: ignore[assignment]
    return pixels


def _promised(pixels: Image | Plane | None, shape: tuple[int, ...]) -> Image | Plane:
    if pixels is None or pixels.shape != shape:
        raise ValueError("no pixels of the size that the header promises")
    return np.asarray(pixels, np.uint8)


def _is_plain_png(data: bytes, colour_type: int) -> bool:
    """Whether the header says 8 bits of a colour type and no chunk changes what they mean."""
    if data[12:16] != b"IHDR" or data[24:26] != bytes((8, colour_type)):
        return False
    offset = 33  # after signature and header
    for _ in range(_MAX_PNG_CHUNKS):
        name = data[offset + 4 : offset + 8]
        if name not in _PLAIN_PNG_CHUNKS or data.startswith(_EXIF_AS_TEXT, offset + 4):
            return False
        if name == b"IEND":
            return True
        offset += 12 + int.from_bytes(data[offset : offset + 4], "big")
    return False


def _frame_notes(header: ImageHeader) -> tuple[str, ...]:
    return ("Only the first frame of the animation is used.",) if header.frames > 1 else ()


def _plane(alpha: PillowImage.Image | None, orientation: int) -> Plane | None:
    return None if alpha is None else pixels_of(turn_upright(alpha, orientation))


def _compose(
    pixels: Image, alpha: Plane | None, header: ImageHeader, notes: tuple[str, ...]
) -> DecodedImage:
    if alpha is None or alpha.min() == 255:
        return DecodedImage(pixels, alpha, header, notes)
    notes += ("Transparent parts were composited on white.",)
    return DecodedImage(over(pixels, alpha, 255), alpha, header, notes)


def _bgr(pixels: Image) -> Image:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)


def _imencode(extension: str, pixels: Image | Plane, *options: Any) -> bytes:
    done, buffer = cv2.imencode(extension, pixels, options)
    if not done:
        raise ValueError(f"OpenCV cannot encode {pixels.shape} as {extension}.")
    return buffer.tobytes()
