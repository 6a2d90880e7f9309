"""Picture files that are unusual but fine, as `bad_inputs` sends them; all of 200 x 160."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.preprocessing.pictures import ASTRONAUT, encode, exif


def photo() -> bytes:
    return encode(ASTRONAUT, "PNG")


def jpeg() -> bytes:
    return encode(ASTRONAUT, "JPEG")


def grey(value: int, width: int = 200, height: int = 160) -> Callable[[], bytes]:
    return lambda: encode(np.full((height, width), value, np.uint8), "PNG")


def animation() -> bytes:
    frames = [Image.fromarray(ASTRONAUT), Image.fromarray(255 - ASTRONAUT)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def cmyk() -> bytes:
    return encode(Image.fromarray(ASTRONAUT).convert("CMYK"), "JPEG")


def with_16_bits() -> bytes:
    return encode(ASTRONAUT[..., 0].astype(np.uint16) * 257, "PNG")


def palette_with_alpha() -> bytes:
    return encode(Image.fromarray(ASTRONAUT).quantize(64), "PNG", transparency=0)


def sideways() -> bytes:
    return encode(ASTRONAUT, "JPEG", exif=exif(6))


def heic() -> bytes:
    """The face as a phone stores it; the readers in use cannot write the format."""
    return (Path(__file__).parent / "preprocessing" / "files" / "astronaut.heic").read_bytes()
