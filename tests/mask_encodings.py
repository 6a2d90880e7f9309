"""One mask in many files, with what each must be read as; data alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from preprocessing.mask_input import MaskSemantics
from tests.preprocessing.pictures import encode, exif, stored_sideways, swapped_profile

WIDTH, HEIGHT = 80, 48
MASK = np.zeros((HEIGHT, WIDTH), np.bool_)
MASK[10:34, 20:55] = True
MASK[12:20, 24:30] = False
WHITE = np.where(MASK, np.uint8(255), np.uint8(0))
SOFT = WHITE.copy()
SOFT[34:38, 20:55] = 100
SOFT[8:10, 20:55] = 180
GREY = np.full_like(WHITE, 77)
PHOTO = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
FULL, NONE = np.full_like(WHITE, 255), np.zeros_like(WHITE)
W, B, T, O, A = MaskSemantics  # noqa: E741


@dataclass(frozen=True)
class MaskFile:
    """A file, how it is to be read, and what must come out."""

    name: str
    make: Callable[[], bytes]
    semantics: MaskSemantics
    error: str = ""
    """The code it is refused with; empty where it is read."""
    polarity: MaskSemantics | None = None
    """Where it is not the semantics asked for."""
    slack: int = 0
    """Pixels that may differ, for lossy files and resized ones."""
    soft: bool = False
    """Whether levels besides 0 and 255 come out; then those of `SOFT`."""
    warns: str = ""
    """Part of the warning."""


def _l(levels: np.ndarray, form: str = "PNG", **options: object) -> Callable[[], bytes]:
    return lambda: encode(levels, form, **options)


def _mode(mode: str, levels: np.ndarray = WHITE, form: str = "PNG") -> Callable[[], bytes]:
    return lambda: encode(Image.fromarray(levels).convert(mode), form)


def _la(grey: np.ndarray, alpha: np.ndarray) -> Callable[[], bytes]:
    return lambda: encode(Image.merge("LA", [Image.fromarray(x) for x in (grey, alpha)]), "PNG")


def _rgba(colours: np.ndarray, alpha: np.ndarray, form: str = "PNG") -> Callable[[], bytes]:
    rgb = colours if colours.ndim == 3 else np.dstack([colours] * 3)
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    return lambda: encode(np.dstack([rgb, alpha]), form, **options)


def _palette(levels: np.ndarray, entries: list[int], **options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        picture = Image.fromarray((levels > 0).astype(np.uint8), "L").convert("P")
        picture = Image.frombytes("P", picture.size, (levels > 0).astype(np.uint8).tobytes())
        picture.putpalette(entries)
        return encode(picture, "PNG", **options)

    return make


def _deep(levels: np.ndarray, factor: int = 257) -> Callable[[], bytes]:
    return lambda: encode(levels.astype(np.uint16) * factor, "PNG")


def _turned(orientation: int) -> Callable[[], bytes]:
    return lambda: encode(stored_sideways(WHITE, orientation), "PNG", exif=exif(orientation))


def _resized(width: int, height: int) -> Callable[[], bytes]:
    return lambda: encode(Image.fromarray(WHITE).resize((width, height), 0), "PNG")


def _animated() -> bytes:
    frames = [Image.fromarray(WHITE), Image.fromarray(~WHITE)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _grey_behind_alpha() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.dstack([PHOTO, ~WHITE])).save(stream, "PNG")
    return stream.getvalue()


_EMPTY, _FULL, _SIZE, _ALPHA = "mask_empty", "mask_full", "mask_size", "mask_no_alpha"
_BW, _WB = [0, 0, 0, 255, 255, 255], [255, 255, 255, 0, 0, 0]

MASK_FILES = [
    MaskFile("L", _l(WHITE), W),
    MaskFile("L inverted", _l(~WHITE), B),
    MaskFile("L as auto", _l(WHITE), A, polarity=W),
    MaskFile("L of 0 and 1 levels", _l(WHITE // 255), W, error=_EMPTY),
    MaskFile("L at 128 and 127", _l(np.where(MASK, 128, 127).astype(np.uint8)), W, slack=0),
    MaskFile("1-bit", _mode("1"), W),
    MaskFile("1-bit inverted", _mode("1", ~WHITE), B),
    MaskFile("RGB", _mode("RGB"), W),
    MaskFile("RGB inverted", _mode("RGB", ~WHITE), B),
    MaskFile("RGB green", lambda: encode(np.dstack([NONE, WHITE, NONE]), "PNG"), W),
    MaskFile("RGB red is dark", lambda: encode(np.dstack([WHITE, NONE, NONE]), "PNG"), W, _EMPTY),
    MaskFile("CMYK TIFF", _mode("CMYK", form="TIFF"), W),
    MaskFile("palette black white", _palette(WHITE, _BW), W),
    MaskFile("palette white black", _palette(~WHITE, _WB), W),
    MaskFile("palette with transparent black", _palette(WHITE, _BW, transparency=0), W),
    MaskFile("palette, transparent edits", _palette(~WHITE, _BW, transparency=0), T),
    MaskFile("16-bit", _deep(WHITE), W),
    MaskFile("16-bit inverted", _deep(~WHITE), B),
    MaskFile("16-bit that is 8-bit", _deep(WHITE, 1), W, error=_EMPTY),
    MaskFile("LA opaque", _la(WHITE, FULL), W),
    MaskFile("LA white, alpha is the mask", _la(FULL, WHITE), W),
    MaskFile("LA, opaque edits", _la(GREY, WHITE), O),
    MaskFile("LA, transparent edits", _la(GREY, ~WHITE), T),
    MaskFile("LA, auto finds alpha", _la(GREY, ~WHITE), A, polarity=T),
    MaskFile("LA black on clear", _la(NONE, WHITE), B),
    MaskFile("RGBA opaque", _rgba(WHITE, FULL), W),
    MaskFile("RGBA opaque as auto", _rgba(WHITE, FULL), A, polarity=W),
    MaskFile("RGBA white strokes on clear", _rgba(FULL, WHITE), W),
    MaskFile("RGBA photo with a hole", _rgba(PHOTO, ~WHITE), T),
    MaskFile("RGBA photo with a hole as auto", _grey_behind_alpha, A, polarity=T),
    MaskFile("RGBA cut-out", _rgba(PHOTO, WHITE), O),
    MaskFile("RGBA black strokes on clear", _rgba(NONE, WHITE), B),
    MaskFile("RGBA clear all over as white", _rgba(WHITE, NONE), W, error=_EMPTY),
    MaskFile("RGBA clear all over as hole", _rgba(PHOTO, NONE), T, error=_FULL),
    MaskFile("RGBA opaque as hole", _rgba(PHOTO, FULL), T, error=_EMPTY),
    MaskFile("no alpha as hole", _mode("RGB"), T, error=_ALPHA),
    MaskFile("no alpha as cut-out", _l(WHITE), O, error=_ALPHA),
    MaskFile("soft L", _l(SOFT), W, soft=True),
    MaskFile("soft L inverted", _l(~SOFT), B, soft=True),
    MaskFile("soft alpha, opaque edits", _rgba(PHOTO, SOFT), O, soft=True),
    MaskFile("soft alpha, transparent edits", _rgba(PHOTO, ~SOFT), T, soft=True),
    MaskFile("soft 16-bit", _deep(SOFT), W, soft=True),
    MaskFile("JPEG", _l(WHITE, "JPEG", quality=95), W, slack=20),
    MaskFile("JPEG inverted", _l(~WHITE, "JPEG", quality=95), B, slack=20),
    MaskFile("WebP lossless", _l(WHITE, "WEBP", lossless=True), W),
    MaskFile("WebP with alpha", _rgba(PHOTO, ~WHITE, "WEBP"), T),
    MaskFile("BMP", _l(WHITE, "BMP"), W),
    MaskFile("GIF", _l(WHITE, "GIF"), W),
    MaskFile("animated GIF", _animated, W, warns="Only the first frame"),
    MaskFile("TIFF", _l(WHITE, "TIFF"), W),
    MaskFile("TIFF of 1 bit", _mode("1", form="TIFF"), W),
    MaskFile("AVIF", _l(WHITE, "AVIF", quality=95), W, slack=20),
    *(MaskFile(f"EXIF orientation {turn}", _turned(turn), W) for turn in range(2, 9)),
    MaskFile("ICC profile is ignored", _l(WHITE, "PNG", icc_profile=swapped_profile()), W),
    MaskFile("half the size", _resized(40, 24), W, slack=150, warns="from 40 x 24 to 80 x 48"),
    MaskFile("three times the size", _resized(240, 144), W, slack=4, warns="was resized"),
    MaskFile("another shape", _resized(80, 80), W, error=_SIZE),
    MaskFile("sides swapped", _resized(48, 80), W, error=_SIZE),
    MaskFile("empty", _l(NONE), W, error=_EMPTY),
    MaskFile("full", _l(FULL), W, error=_FULL),
    MaskFile("empty as black", _l(FULL), B, error=_EMPTY),
    MaskFile("cut short", lambda: encode(WHITE, "PNG")[:-30], W, error="image_unreadable"),
    MaskFile("no picture", lambda: b"mask", W, error="unsupported_format"),
]
