"""From the many colour modes of files to sRGB, an optional alpha channel and upright pixels."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from preprocessing.arrays import Plane
from preprocessing.errors import ImageRejectedError

Depth = TypeVar("Depth", np.uint8, np.uint16)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TO_BASE = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB", "YCbCr": "RGB"}
BROKEN_PROFILE = "The colour profile is broken or does not fit the picture; it was ignored."
BROKEN_EXIF = "The EXIF data is broken; it was ignored."


def split_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Part a loaded picture into colours, mode L, RGB or CMYK, and alpha, mode L or None.

    16-bit grey is scaled to 8 bits (v / 257, rounded), not truncated.

    Raises:
        ImageRejectedError: image_unreadable for a colour mode that files rarely have (LAB, float).
    """
    if picture.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bits(np.asarray(picture))), None
    if picture.mode == "LA":
        return picture.getchannel("L"), picture.getchannel("A")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    if picture.mode == "CMYK":
        return picture, None
    if picture.mode not in _TO_BASE:
        known = ", ".join([*_TO_BASE, "LA", "PA", "RGBA", "CMYK", "I;16"])
        raise ImageRejectedError(
            "image_unreadable", f"The colour mode must be one of {known}; it is {picture.mode}."
        )
    return _as_mode(picture, _TO_BASE[picture.mode]), None


def to_srgb(colours: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert mode L, RGB or CMYK to sRGB through the embedded ICC profile.

    Without a profile the values are taken as they are. So they are with a profile that calls itself
    sRGB: a conversion would only add rounding. A broken profile is ignored and reported.
    """
    if not profile:
        return _as_mode(colours, "RGB"), ()
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if colours.mode != "CMYK" and "sRGB" in ImageCms.getProfileDescription(source):
            return _as_mode(colours, "RGB"), ()
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(colours, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        converted = None
    if converted is None:
        return _as_mode(colours, "RGB"), (BROKEN_PROFILE,)
    return converted, ()


def orientation_of(opened: Image.Image) -> tuple[int, tuple[str, ...]]:
    """EXIF orientation, 1 to 8; 1 for none, an unknown value, or (reported) broken EXIF data.

    PNG may hold its EXIF data after the pixels: ask after loading.
    """
    try:
        # The PNG plugin's own method loads the picture first, even one that has been decoded.
        value = Image.Image.getexif(opened).get(ExifTags.Base.Orientation, 1)
    except Exception:  # the EXIF parser raises a dozen types on damaged data
        return 1, (BROKEN_EXIF,)
    return (value if value in _UPRIGHT else 1), ()


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Undo the EXIF orientation, 1 to 8."""
    return picture if orientation == 1 else picture.transpose(_UPRIGHT[orientation])


def turned(pixels: npt.NDArray[Depth], orientation: int) -> npt.NDArray[Depth]:
    """`turn_upright` for an array (H, W, ...) (EXIF 2.3, table 4.6.4.A); a view."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def pixels_of(picture: Image.Image) -> Plane:
    """Values of a picture of 8 bits per channel, (H, W) or (H, W, C).

    A few rows at a time: Pillow lets no other thread run while it copies them.
    """
    width, height = picture.size
    channels = len(picture.getbands())
    pixels = np.empty((height, width) if channels == 1 else (height, width, channels), np.uint8)
    for rows in _strips(height, 64):
        pixels[rows] = np.asarray(picture.crop((0, rows.start, width, min(rows.stop, height))))
    return pixels


def over(colours: Plane, alpha: Plane, background: int) -> Plane:
    """Composite on a grey level; `colours` (H, W) or (H, W, 3) uint8, alpha (H, W) uint8.

    >>> over(np.uint8([[0, 0]]), np.uint8([[255, 0]]), 255)
    array([[  0, 255]], dtype=uint8)
    """
    mixed = np.empty(colours.shape, np.uint8)
    for rows in _strips(len(colours)):
        weight = alpha[rows].astype(np.uint16)
        if colours.ndim == 3:
            weight = weight[..., None]
        total = colours[rows] * weight + np.uint16(background) * (np.uint16(255) - weight)
        mixed[rows] = (total + np.uint16(127)) // np.uint16(255)
    return mixed


def _as_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Converted where it has another mode; Pillow would copy it otherwise."""
    return picture if picture.mode == mode else picture.convert(mode)


def _to_8_bits(values: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> Plane:
    scaled = np.empty(values.shape, np.uint8)
    for rows in _strips(len(values)):
        scaled[rows] = (values[rows].astype(np.uint32) * 255 + 32_767) // 65_535
    return scaled


def _strips(height: int, rows: int = 256) -> Iterator[slice]:
    """Few rows at a time: what is computed on the way has two to four bytes per value."""
    return (slice(top, top + rows) for top in range(0, height, rows))
