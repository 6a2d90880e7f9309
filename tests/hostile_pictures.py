"""Picture files made to do harm, with the answer each must get; data alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests import odd_pictures as odd
from tests.preprocessing.pictures import ASTRONAUT, encode, exif, png, swapped_profile

Make = Callable[[], bytes]
PICTURE = Image.fromarray(ASTRONAUT)


@dataclass(frozen=True)
class HostilePicture:
    """A file and what the gateway says of it."""

    name: str
    make: Make
    status: int
    code: str = ""
    """Of the problem; empty where the file is taken in."""
    warns: str = ""
    """Part of the warning that comes with it."""


def chunked_png(name: bytes, content: bytes) -> bytes:
    """A sound PNG with one more chunk behind its header."""
    file = odd.photo()
    checksum = struct.pack(">I", zlib.crc32(name + content))
    chunk = struct.pack(">I", len(content)) + name + content + checksum
    return file[:33] + chunk + file[33:]


def _bomb(mebibytes: int) -> bytes:
    squeezer = zlib.compressobj(9)
    zeros = bytes(2**20)
    return b"".join(squeezer.compress(zeros) for _ in range(mebibytes)) + squeezer.flush()


def _jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose frame header lies."""
    file = bytearray(odd.jpeg())
    at = file.index(b"\xff\xc0")
    file[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(file)


def _webp_canvas(side: int) -> bytes:
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (side - 1).to_bytes(3, "little") * 2
    frame = encode(Image.new("RGB", (8, 8)), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(frame)) + b"WEBP" + canvas + frame


def _avif_of_size(side: int) -> bytes:
    """An AVIF whose `ispe` box lies."""
    file = bytearray(encode(PICTURE, "AVIF"))
    at = file.index(b"ispe") + 8
    file[at : at + 8] = struct.pack(">II", side, side)
    return bytes(file)


def _heic_of_many_items() -> bytes:
    """A HEIC that says it holds 65535 items."""
    file = bytearray(odd.heic())
    at = file.index(b"iinf") + 8
    file[at : at + 2] = b"\xff\xff"
    return bytes(file)


def _looping_tiff() -> bytes:
    """A TIFF whose second directory is its first."""
    file = bytearray(encode(PICTURE, "TIFF"))
    first = struct.unpack_from("<I", file, 4)[0]
    entries = struct.unpack_from("<H", file, first)[0]
    struct.pack_into("<I", file, first + 2 + 12 * entries, first)
    return bytes(file)


def _pages(form: str, count: int) -> Make:
    frames = [Image.new("RGB", (40, 30), (i * 50 % 256, 99, 200)) for i in range(count)]
    return lambda: encode(frames[0], form, save_all=True, append_images=frames[1:])


def _large_gif_animation() -> bytes:
    frames = [Image.effect_noise((60, 40), 5 + i % 40) for i in range(300)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _ycck() -> bytes:
    file = bytearray(encode(PICTURE.convert("CMYK"), "JPEG"))
    file[file.index(b"Adobe") + 11] = 2  # the transform: YCCK
    return bytes(file)


def _arithmetic() -> bytes:
    return odd.jpeg().replace(b"\xff\xc0", b"\xff\xc9", 1)


def _wrong_checksum() -> bytes:
    file = bytearray(odd.photo())
    file[file.index(b"IDAT") + 40] ^= 0xFF
    return bytes(file)


def _broken_huffman() -> bytes:
    """Lossless WebP whose code lengths are noise, as in the files of CVE-2023-4863."""
    file = bytearray(encode(PICTURE, "WEBP", lossless=True))
    noise = np.random.default_rng(1).integers(0, 256, 400, np.uint8).tobytes()
    file[25 : 25 + len(noise)] = noise
    return bytes(file)


def _not_a_number() -> bytes:
    return encode(np.full((16, 16), np.nan, np.float32), "TIFF")


def _large_exif() -> bytes:
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = 99, "x" * 60_000
    return encode(PICTURE, "JPEG", exif=tags.tobytes())


_BAD, _LARGE, _FORMAT = "image_unreadable", "image_too_large", "unsupported_format"
_ENTITY = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg/>'
_FIRST = "Only the first frame"

HOSTILE_PICTURES = [
    HostilePicture("empty", bytes, 400, _BAD),
    HostilePicture("one byte", lambda: b"\xff", 415, _FORMAT),
    HostilePicture("PNG magic only", lambda: odd.photo()[:8], 400, _BAD),
    HostilePicture("JPEG magic only", lambda: b"\xff\xd8\xff", 400, _BAD),
    HostilePicture("AVIF magic only", lambda: b"\0\0\0\x1cftypavif", 400, _BAD),
    HostilePicture("truncated JPEG", lambda: odd.jpeg()[:-500], 400, _BAD),
    HostilePicture("truncated PNG", lambda: odd.photo()[:-500], 400, _BAD),
    HostilePicture("truncated AVIF", lambda: encode(PICTURE, "AVIF")[:-90], 400, _BAD),
    HostilePicture("truncated HEIC", lambda: odd.heic()[:-90], 400, _BAD),
    HostilePicture("trailing garbage", lambda: odd.photo() + b"\xde\xad" * 5000, 201),
    HostilePicture("JPEG and ZIP at once", lambda: odd.jpeg() + b"PK\3\4" + bytes(500), 201),
    HostilePicture("GIF and script at once", lambda: b"GIF89a=1;alert(1)//" + bytes(9), 400, _BAD),
    HostilePicture("HTML", lambda: b"<!DOCTYPE html><script>alert(1)</script>", 415, _FORMAT),
    HostilePicture(
        "SVG with script", lambda: b"<svg><script>alert(1)</script></svg>", 415, _FORMAT
    ),
    HostilePicture("SVG with entity", lambda: _ENTITY, 415, _FORMAT),
    HostilePicture("PNG bomb, 1 bit", lambda: png(16_000, 16_000, depth=1, colour=0), 413, _LARGE),
    HostilePicture("PNG bomb, RGB", lambda: png(12_000, 12_000, rows=bytes(10**6)), 413, _LARGE),
    HostilePicture("PNG, fewer rows", lambda: png(7_000, 7_000, rows=bytes(9)), 400, _BAD),
    HostilePicture("WebP canvas of 16383", lambda: _webp_canvas(16_383), 400, _BAD),
    HostilePicture("JPEG claiming 65535", lambda: _jpeg_of_size(65_535, 65_535), 413, _LARGE),
    HostilePicture("JPEG claiming 7000", lambda: _jpeg_of_size(7_000, 7_000), 400, _BAD),
    HostilePicture("zTXt bomb", lambda: chunked_png(b"zTXt", b"t\0\0" + _bomb(80)), 400, _BAD),
    HostilePicture("iCCP bomb", lambda: chunked_png(b"iCCP", b"p\0\0" + _bomb(80)), 400, _BAD),
    HostilePicture("GIF of 300 frames", _large_gif_animation, 201, warns=_FIRST),
    HostilePicture("APNG", _pages("PNG", 5), 201, warns=_FIRST),
    HostilePicture("animated WebP", _pages("WEBP", 5), 201, warns=_FIRST),
    HostilePicture("AVIF claiming 60000", lambda: _avif_of_size(60_000), 400, _BAD),
    HostilePicture("HEIC that lies about its items", _heic_of_many_items, 201),
    HostilePicture("TIFF of many pages", _pages("TIFF", 200), 201, warns=_FIRST),
    HostilePicture("TIFF that loops", _looping_tiff, 201),
    HostilePicture("0 x 0", lambda: png(0, 0), 400, _BAD),
    HostilePicture("1 x 16000", lambda: png(1, 16_000), 400, "image_too_small"),
    HostilePicture("2 x 16000", lambda: png(2, 16_000), 400, "image_aspect"),
    HostilePicture("16-bit", odd.with_16_bits, 201),
    HostilePicture("CMYK", odd.cmyk, 201),
    HostilePicture("YCCK", _ycck, 201),
    HostilePicture("grey and alpha", lambda: encode(PICTURE.convert("LA"), "PNG"), 201),
    HostilePicture("palette and tRNS", odd.palette_with_alpha, 201, warns="Transparent parts"),
    *(
        HostilePicture(f"orientation {n}", lambda n=n: encode(PICTURE, "JPEG", exif=exif(n)), 201)
        for n in range(1, 9)
    ),
    HostilePicture("orientation 99, large EXIF", _large_exif, 201),
    HostilePicture(
        "broken ICC",
        lambda: encode(PICTURE, "JPEG", icc_profile=swapped_profile()[:300]),
        201,
        warns="profile is broken",
    ),
    HostilePicture(
        "ICC of 10 MB",
        lambda: encode(PICTURE, "JPEG", icc_profile=bytes(10 * 2**20)),
        201,
        warns="profile is broken",
    ),
    HostilePicture("JPEG of 2000 scans", lambda: odd.jpeg() + b"\xff\xda" * 2000, 400, _BAD),
    HostilePicture("arithmetic JPEG", _arithmetic, 400, _BAD),
    HostilePicture("wrong checksum", _wrong_checksum, 400, _BAD),
    HostilePicture("broken Huffman codes", _broken_huffman, 400, _BAD),
    HostilePicture("NaN TIFF", _not_a_number, 400, _BAD),
]
