"""From the many colour modes of files to sRGB, an optional alpha channel and upright pixels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageCms

from preprocessing.arrays import Plane
from preprocessing.errors import ImageRejectedError

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
    return picture.convert(_TO_BASE[picture.mode]), None


def to_srgb(colours: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert mode L, RGB or CMYK to sRGB through the embedded ICC profile.

    Without a profile the values are taken as they are. So they are with a profile that calls itself
    sRGB: a conversion would only add rounding. A broken profile is ignored and reported.
    """
    if not profile:
        return colours.convert("RGB"), ()
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if colours.mode != "CMYK" and "sRGB" in ImageCms.getProfileDescription(source):
            return colours.convert("RGB"), ()
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(colours, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        converted = None
    if converted is None:
        return colours.convert("RGB"), (BROKEN_PROFILE,)
    return converted, ()


def orientation_of(opened: Image.Image) -> tuple[int, tuple[str, ...]]:
    """EXIF orientation, 1 to 8; 1 for none, an unknown value, or (reported) broken EXIF data.

    PNG may hold its EXIF data after the pixels: ask after loading.
    """
    try:
        value = opened.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the EXIF parser raises a dozen types on damaged data
        return 1, (BROKEN_EXIF,)
    return (value if value in _UPRIGHT else 1), ()


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Undo the EXIF orientation, 1 to 8."""
    return picture if orientation == 1 else picture.transpose(_UPRIGHT[orientation])


def over(colours: Plane, alpha: Plane, background: int) -> Plane:
    """Composite on a grey level; `colours` (H, W) or (H, W, 3) uint8, alpha (H, W) uint8.

    >>> over(np.uint8([[0, 0]]), np.uint8([[255, 0]]), 255)
    array([[  0, 255]], dtype=uint8)
    """
    weight = alpha.astype(np.uint16)
    if colours.ndim == 3:
        weight = weight[..., None]
    mixed = colours * weight + np.uint16(background) * (np.uint16(255) - weight)
    return ((mixed + np.uint16(127)) // np.uint16(255)).astype(np.uint8)


def _to_8_bits(values: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> Plane:
    return ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)
