"""What a picture file says of itself, checked before a pixel is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pi_heif import HeifImageFile
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from preprocessing.errors import ImageRejectedError, RejectedError

# Pillow's bomb check only warns, and above 89 million pixels; `ImageLimits` refuses, and earlier.
Image.MAX_IMAGE_PIXELS = None

_FORMATS: tuple[tuple[bytes, str, type[ImageFile.ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png", PngImagePlugin.PngImageFile),
    (b"\xff\xd8\xff", "jpeg", JpegImagePlugin.JpegImageFile),
    (b"RIFF", "webp", WebPImagePlugin.WebPImageFile),
    (b"GIF87a", "gif", GifImagePlugin.GifImageFile),
    (b"GIF89a", "gif", GifImagePlugin.GifImageFile),
    (b"II*\0", "tiff", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", "tiff", TiffImagePlugin.TiffImageFile),
    (b"BM", "bmp", BmpImagePlugin.BmpImageFile),
)
# ISO/IEC 14496-12: after the box's size stand "ftyp" and the brand.
_BRANDS: dict[bytes, tuple[str, type[ImageFile.ImageFile]]] = {
    **{brand: ("avif", AvifImagePlugin.AvifImageFile) for brand in (b"avif", b"avis")},
    **{brand: ("heic", HeifImageFile) for brand in (b"heic", b"heix", b"heim", b"heis", b"mif1")},
}
_START_OF_SCAN = 0xDAFF  # FF DA, little-endian
# Encoders write about ten; each costs a pass over all pixels. Metadata may hold the two bytes too.
_MAX_JPEG_SCANS = 500


@dataclass(frozen=True)
class ImageLimits:
    """What is let in."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    min_side: int = 2
    max_aspect: float = 50.0
    """Longer side over shorter side."""
    max_frames: int = 1000
    """Of animations that say how many they have; the first is used."""


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True)
class ImageHeader:
    """What the file's header says.

    `width` and `height` are as stored, before EXIF orientation (TIFF, HEIC: after it). `frames` is
    1 for a still; GIF and TIFF do not say how many they hold: 2 stands for several. `mode` is
    Pillow's.
    """

    format: str
    width: int
    height: int
    frames: int
    mode: str


def probe(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> ImageHeader:
    """Read the header and check every limit, without decoding pixels.

    Raises:
        ImageRejectedError: image_unreadable, unsupported_format, image_too_large, image_too_small
            or image_aspect.

    >>> probe(b"%PDF-1.7")
    Traceback (most recent call last):
    preprocessing.errors.ImageRejectedError: The file must be one of png, jpeg, webp, gif, ...
    """
    return open_image(data, limits)[1]


def open_image(data: bytes, limits: ImageLimits) -> tuple[ImageFile.ImageFile, ImageHeader]:
    """Open with the one Pillow plugin that the first bytes name; raises as `probe` does."""
    _check_bytes(data, limits)
    name, plugin = _sniff(data)
    with reading(name):
        opened = plugin(BytesIO(data))
        header = ImageHeader(name, *opened.size, _frames(opened), opened.mode)
    _check_sides(header, limits)
    if header.frames > limits.max_frames:
        raise ImageRejectedError(
            "image_too_large",
            f"An animation may have at most {limits.max_frames} frames; it has {header.frames}.",
        )
    if name == "jpeg" and (scans := _scans(data)) > _MAX_JPEG_SCANS:
        raise ImageRejectedError(
            "image_unreadable",
            f"A JPEG may have at most {_MAX_JPEG_SCANS} scans; this one has {scans}.",
        )
    return opened, header


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into image_unreadable."""
    try:
        yield
    except (RejectedError, MemoryError):
        raise
    except Exception as exc:  # Pillow's plugins raise a dozen types on damaged files
        raise ImageRejectedError(
            "image_unreadable",
            f"The {what} file cannot be decoded; it is cut short or corrupt ({exc}).",
        ) from exc


def _check_bytes(data: bytes, limits: ImageLimits) -> None:
    if not data:
        raise ImageRejectedError("image_unreadable", "The image is empty: 0 bytes.")
    if len(data) > limits.max_bytes:
        raise ImageRejectedError(
            "image_too_large",
            f"The image file may have at most {limits.max_bytes} bytes; it has {len(data)}.",
        )


def _sniff(data: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    for signature, name, plugin in _FORMATS:
        if data.startswith(signature) and (name != "webp" or data[8:12] == b"WEBP"):
            return name, plugin
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return _BRANDS[data[8:12]]
    names = ", ".join(dict.fromkeys([name for _, name, _ in _FORMATS] + ["avif", "heic"]))
    raise ImageRejectedError(
        "unsupported_format",
        f"The file must be one of {names}; it starts with {bytes(data[:12])!r}.",
    )


def _frames(opened: ImageFile.ImageFile) -> int:
    if not getattr(opened, "is_animated", False):
        return 1
    # Counting the frames of a GIF or TIFF walks the whole file, millions of steps if it is hostile.
    lazy = isinstance(opened, GifImagePlugin.GifImageFile | TiffImagePlugin.TiffImageFile)
    return 2 if lazy else int(getattr(opened, "n_frames", 1))


def _scans(data: bytes) -> int:
    """Starts of scans. By NumPy, which lets other threads run while it compares."""
    at_even = np.frombuffer(data, "<u2", len(data) // 2)
    at_odd = np.frombuffer(data, "<u2", (len(data) - 1) // 2, offset=1)
    return sum(int(np.count_nonzero(pairs == _START_OF_SCAN)) for pairs in (at_even, at_odd))


def _check_sides(header: ImageHeader, limits: ImageLimits) -> None:
    width, height = header.width, header.height
    actual = f"it is {width} x {height}."
    if min(width, height) < limits.min_side:
        raise ImageRejectedError(
            "image_too_small",
            f"Both sides must be at least {limits.min_side} pixels; {actual}",
        )
    if max(width, height) > limits.max_side:
        raise ImageRejectedError(
            "image_too_large", f"A side may have at most {limits.max_side} pixels; {actual}"
        )
    if width * height > limits.max_pixels:
        raise ImageRejectedError(
            "image_too_large",
            f"The image may have at most {limits.max_pixels} pixels; "
            f"it has {width * height} ({width} x {height}).",
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        raise ImageRejectedError(
            "image_aspect",
            f"The longer side may be at most {limits.max_aspect:g} times the shorter; {actual}",
        )
