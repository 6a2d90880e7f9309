"""Decodes damaged picture files under a memory limit; run by `test_codec_fuzz`.

    python -m tests.preprocessing.fuzz_codec FILES MEMORY_BYTES

Ends with another code than 0 when a file raises anything but a refusal, takes longer than its
time, or asks for more memory than the limit. Prints how many were read and how many refused.
"""

from __future__ import annotations

import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from preprocessing.codec import ImageLimits, decode_image, decode_mask
from preprocessing.errors import ImageRejectedError
from tests.odd_pictures import animation, cmyk, jpeg, palette_with_alpha, sideways, with_16_bits
from tests.preprocessing.pictures import ASTRONAUT, encode, png, swapped_profile

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=4_000_000)
SECONDS_PER_FILE = 5
SMALL = ASTRONAUT[:48, :64]


def seeds() -> list[bytes]:
    """Whole files of every kind that is read."""
    picture = Image.fromarray(SMALL)
    return [
        encode(SMALL, "PNG"),
        encode(picture.convert("RGBA"), "PNG"),
        encode(picture.convert("1"), "PNG"),
        encode(picture, "PNG", icc_profile=swapped_profile()),
        encode(SMALL, "JPEG"),
        encode(picture, "JPEG", progressive=True),
        encode(picture, "WEBP"),
        encode(picture, "WEBP", lossless=True),
        encode(picture, "TIFF", compression="tiff_lzw"),
        encode(picture, "BMP"),
        encode(picture, "GIF"),
        png(60, 40, rows=b"\0" * 7240),
        *(make() for make in (animation, cmyk, jpeg, palette_with_alpha, sideways, with_16_bits)),
    ]


def damaged(count: int) -> Iterator[bytes]:
    """Bytes flipped, stretches overwritten, cut, doubled, moved or swapped between files."""
    rng = np.random.default_rng(0)
    whole = seeds()
    for number in range(count):
        data = bytearray(whole[number % len(whole)])
        for _ in range(int(rng.integers(1, 5))):
            _damage(rng, data, whole)
        yield bytes(data)


def _damage(rng: np.random.Generator, data: bytearray, whole: list[bytes]) -> None:
    # Headers are where lengths and sizes are: half of the damage goes there.
    end = max(1, min(len(data), 120 if rng.random() < 0.5 else len(data)))
    at, length = int(rng.integers(end)), int(rng.integers(1, 17))
    match int(rng.integers(6)):
        case 0:
            data[at] ^= 1 << int(rng.integers(8))
        case 1:
            data[at : at + length] = rng.bytes(length)
        case 2:
            data[at : at + 4] = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff")[
                number_of(rng)
            ]
        case 3:
            del data[at : at + length * 8]
        case 4:
            data[at:at] = data[at : at + length * 4]
        case _:
            other = whole[int(rng.integers(len(whole)))]
            data[at : at + length * 8] = other[at : at + length * 8]


def number_of(rng: np.random.Generator) -> int:
    return int(rng.integers(3))


def main() -> None:
    count, memory_bytes = (int(word) for word in sys.argv[1:])
    warnings.simplefilter("ignore")
    for data in seeds():
        decode_image(data, LIMITS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes,) * 2)
    refused = 0
    for number, data in enumerate(damaged(count)):
        signal.alarm(SECONDS_PER_FILE)
        try:
            (decode_mask if number % 8 == 7 else decode_image)(data, LIMITS)
        except ImageRejectedError:
            refused += 1
    sys.stdout.write(f"{count - refused} {refused}\n")


if __name__ == "__main__":
    main()
