"""Photographs as they are stored: own depth, own colour space. For transforms that keep both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms
from PIL.ImageFile import ImageFile

from preprocessing.arrays import Doubles, Image, Plane, Samples
from preprocessing.codec import decode_image, fast_pixels
from preprocessing.colour import orientation_of, pixels_of, split_alpha, turned
from preprocessing.colour_lut import ColourLut, transform_of
from preprocessing.image_header import (
    DEFAULT_LIMITS,
    ImageHeader,
    ImageLimits,
    open_image,
    reading,
)
from preprocessing.jpeg_writer import write_jpeg
from preprocessing.png_writer import write_png_strips

Form = Literal["png", "jpeg"]
JPEG_QUALITY = 95
_TIFF_BITS = 258


@dataclass(frozen=True, eq=False)
class NativePicture:
    """Upright pixels in the file's own RGB space."""

    pixels: Samples
    """(H, W, 3) uint8 or uint16 RGB."""
    alpha: Samples | None
    """(H, W) of the same depth; None for none."""
    profile: bytes | None
    """ICC profile of `pixels`; None for sRGB."""
    header: ImageHeader
    warnings: tuple[str, ...] = ()

    @property
    def is_deep(self) -> bool:
        """Whether it has 16 bits per channel."""
        return self.pixels.dtype == np.uint16


def decode_native(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> NativePicture:
    """Decode the first frame upright, at its depth and in its colour space.

    Colour spaces that are no RGB (CMYK, grey) become sRGB of 8 bits.

    Raises:
        ImageRejectedError: as `codec.decode_image`.
    """
    opened, header = open_image(data, limits)
    with reading(header.format):
        if _is_deep_rgb(data, opened, header):
            return _decode_deep(data, opened, header)
        if opened.mode not in ("RGB", "RGBA", "P", "PA"):
            plain = decode_image(data, limits)
            return NativePicture(plain.pixels, plain.alpha, None, header, plain.warnings)
        colours, alpha = _layers(data, opened, header)
        orientation, notes = orientation_of(opened)
        profile = opened.info.get("icc_profile")
        return NativePicture(
            np.ascontiguousarray(turned(colours, orientation)),
            None if alpha is None else np.ascontiguousarray(turned(alpha, orientation)),
            profile if _is_usable(profile) else None,
            header,
            notes,
        )


def encode_native(picture: NativePicture, form: Form) -> bytes:
    """As PNG at its depth with alpha, or as JPEG (quality 95, 4:4:4); both with the profile."""
    return _encoded(picture, form, lambda part: part, threads=1)


def recoloured(picture: NativePicture, lut: ColourLut, form: Form, *, threads: int = 1) -> bytes:
    """`encode_native` of the picture as a table changes its colours; a JPEG has no alpha.

    The changed pixels are never all there at once: strips are changed and encoded by `threads`
    threads (PNG: by one).
    """
    return _encoded(picture, form, transform_of(lut, picture.pixels.dtype), threads=threads)


def _encoded(
    picture: NativePicture, form: Form, change: Callable[[Samples], Samples], *, threads: int
) -> bytes:
    height, width = picture.pixels.shape[:2]
    if form == "jpeg":
        return write_jpeg(
            lambda rows: _to_8_bits(change(picture.pixels[rows])),
            (width, height),
            quality=JPEG_QUALITY,
            profile=picture.profile,
            threads=threads,
        )
    alpha = picture.alpha

    def strip_of(rows: slice) -> Samples:
        colours = change(picture.pixels[rows])
        return colours if alpha is None else np.dstack([colours, alpha[rows]])

    return write_png_strips(
        strip_of,
        (width, height),
        channels=3 if alpha is None else 4,
        bits=8 * picture.pixels.itemsize,
        profile=picture.profile,
    )


def proxy(picture: NativePicture, side: int) -> NativePicture:
    """The picture reduced to `side` pixels on its longer side; as it is where it is smaller."""
    height, width = picture.pixels.shape[:2]
    scale = side / max(width, height)
    if scale >= 1:
        return picture
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    smaller: Samples = cv2.resize(  # type: ignore[assignment]
        picture.pixels, size_wh, interpolation=cv2.INTER_AREA
    )
    return replace(picture, pixels=smaller, alpha=None)


def as_fractions(pixels: Samples) -> Doubles:
    """Pixels as (N, 3), 0 to 1.

    >>> as_fractions(np.full((1, 1, 3), 65535, np.uint16)).tolist()
    [[1.0, 1.0, 1.0]]
    """
    return pixels.reshape(-1, 3) / float(np.iinfo(pixels.dtype).max)


def to_srgb_pixels(picture: NativePicture) -> Image:
    """8-bit sRGB of a picture's pixels."""
    shallow = PillowImage.fromarray(_to_8_bits(picture.pixels))
    return np.asarray(_converted(shallow, picture.profile, inverse=False))


def from_srgb_pixels(pixels: Image, profile: bytes | None) -> Image:
    """8-bit sRGB into the colour space of a profile."""
    return np.asarray(_converted(PillowImage.fromarray(pixels), profile, inverse=True))


def _layers(data: bytes, opened: ImageFile, header: ImageHeader) -> tuple[Image, Plane | None]:
    """Stored RGB and alpha of 8 bits."""
    pixels = fast_pixels(data, opened, header)
    if pixels is not None:
        return pixels, None
    opened.load()
    colours, alpha = split_alpha(opened)
    return pixels_of(colours.convert("RGB")), None if alpha is None else pixels_of(alpha)


def _is_deep_rgb(data: bytes, opened: PillowImage.Image, header: ImageHeader) -> bool:
    if header.format == "png":
        return data[24] == 16 and data[25] in (2, 6)
    tags = getattr(opened, "tag_v2", {})
    return header.format == "tiff" and tuple(tags.get(_TIFF_BITS, ()))[:3] == (16, 16, 16)


def _decode_deep(data: bytes, opened: PillowImage.Image, header: ImageHeader) -> NativePicture:
    buffer = np.frombuffer(data, np.uint8)
    opened.load()  # refuses what is cut short, which OpenCV fills with black
    pixels = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels.dtype != np.uint16 or pixels.shape[:2] != opened.size[::-1]:
        raise ValueError("no pixels of the depth that the header promises")
    profile = opened.info.get("icc_profile")
    orientation, notes = orientation_of(opened)
    upright = turned(np.asarray(pixels, np.uint16), orientation)
    return NativePicture(
        np.ascontiguousarray(upright[..., 2::-1]),
        np.ascontiguousarray(upright[..., 3]) if upright.shape[2] == 4 else None,
        profile if _is_usable(profile) else None,
        header,
        notes,
    )


def _to_8_bits(pixels: Samples) -> Image:
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    shallow = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), 256):
        rows = np.s_[top : top + 256]
        shallow[rows] = (pixels[rows].astype(np.uint32) * 255 + 32_767) // 65_535
    return shallow


def _is_usable(profile: bytes | None) -> bool:
    """Whether it is an RGB profile that can be read."""
    if not profile:
        return False
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return bool(opened.profile.xcolor_space.strip() == "RGB")


def _converted(
    picture: PillowImage.Image, profile: bytes | None, *, inverse: bool
) -> PillowImage.Image:
    if profile is None:
        return picture
    own = ImageCms.ImageCmsProfile(BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    source, target = (srgb, own) if inverse else (own, srgb)
    return ImageCms.profileToProfile(picture, source, target) or picture
