"""Masks as 8-bit grey PNGs, written from their outline: what is inside and outside costs nothing.

A mask is a few thousand runs of black and white. Deflate (RFC 1951) repeats a byte up to 258 times
by one symbol, "the byte before"; its code here is a zero bit, so is that of its distance, and a
long run is a stretch of zero bits. The checksum is summed up over runs as well. All rows have the
filter "none", byte 0, which is black's.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np

from preprocessing.arrays import Integers
from preprocessing.boxed_mask import BoxedMask

_LONGEST = 258
_END, _BLACK, _WHITE = 256, 0, 255
_ADLER = 65521  # RFC 1950

# Bits of each symbol's code: runs are mostly of the longest repeats, then of colours, then of the
# lengths that cover 32 values each.
_BITS = {285: 1, _BLACK: 3, _WHITE: 3}
_BITS |= dict.fromkeys(range(281, 285), 5) | dict.fromkeys(range(274, 281), 7)
_BITS |= dict.fromkeys(range(_END, 274), 8)
_COLOUR_BITS = _BITS[_BLACK]


def outline(boxed: BoxedMask) -> Integers:
    """Where black and white take turns in the PNG's bytes: rows of width + 1, their filter first.

    Args:
        boxed: bool.
    """
    rows = np.flatnonzero(boxed.levels.any(1))
    if not len(rows):
        return np.zeros(0, np.intp)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, above, right, _ = boxed.box
    stride, across = boxed.shape_hw[1] + 1, right - left + 1
    framed = np.zeros((bottom - top, across), np.bool_)
    framed[:, 1:] = boxed.levels[top:bottom]
    flat = framed.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[-1]:
        turns = np.append(turns, len(flat))
    row, column = np.divmod(turns, across)
    # The first column is black: what turns there was white up to the end of the row before.
    row[column == 0] -= 1
    column[column == 0] = across
    return np.asarray((above + top + row) * stride + left + column)


def encode_outline(turns: Integers, shape_hw: tuple[int, int]) -> bytes:
    """The PNG of a mask (H, W) by its `outline`; inside is 255.

    >>> list(zlib.decompress(encode_outline(np.array([5, 6]), (2, 3))[41:-16]))
    [0, 0, 0, 0, 0, 255, 0, 0]
    """
    height, width = shape_hw
    length = height * (width + 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x78\x01" + _deflated(turns, length) + _checksum(turns, length)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _checksum(turns: Integers, length: int) -> bytes:
    """Adler-32 of the bytes."""
    starts, ends = turns[::2].astype(np.int64), turns[1::2].astype(np.int64)
    counts = ends - starts
    # Byte i is counted (length - i) times in the second sum.
    weights = counts * length - (ends * (ends - 1) - starts * (starts - 1)) // 2
    low = 1 + _WHITE * int(counts.sum())
    high = length + _WHITE * int(weights.sum())
    return struct.pack(">HH", high % _ADLER, low % _ADLER)


def _deflated(turns: Integers, length: int) -> bytes:
    """One block with codes of ours: each run is its colour, long repeats, and what is left."""
    runs = np.diff(turns, prepend=0, append=length)
    colour = np.arange(len(runs)) & 1
    repeats, rest = np.divmod(runs - 1, _LONGEST)
    # A picture may end in white: then its last, black run is empty.
    runs_given = runs > 0
    colour, repeats, rest = colour[runs_given], repeats[runs_given], rest[runs_given]
    bits = _COLOUR_BITS + 2 * repeats + _REST_BITS[rest]
    starts = _HEADER_BITS + np.cumsum(bits) - bits
    total = _HEADER_BITS + int(bits.sum())
    at = np.concatenate([starts, starts + _COLOUR_BITS + 2 * repeats, [total]])
    codes = np.concatenate([_COLOURS[colour], _RESTS[colour, rest], [_CODES[_END]]])
    return _packed(at, codes, total + _BITS[_END])


def _packed(at: Integers, codes: Integers, bits: int) -> bytes:
    """Codes of at most 17 bits at their places, lowest bit first, after the block's header."""
    place, shift = np.divmod(at, 8)
    shifted = codes << shift
    data = np.zeros(bits // 8 + 4, np.uint8)
    for byte in range(3):
        values = (shifted >> 8 * byte) & 255
        # No two codes share a bit: their sum is their union.
        data += np.bincount(place + byte, values, len(data)).astype(np.uint8)
    data[: len(_HEADER)] |= _HEADER
    return data[: (bits + 7) // 8].tobytes()


def _codes(bits: Mapping[int, int]) -> dict[int, int]:
    """Canonical codes by symbol, first bit lowest, as deflate writes them."""
    codes, code, before = {}, 0, 0
    for symbol in sorted(bits, key=lambda symbol: (bits[symbol], symbol)):
        code <<= bits[symbol] - before
        before = bits[symbol]
        codes[symbol] = int(f"{code:0{before}b}"[::-1], 2)
        code += 1
    return codes


def _header() -> tuple[int, int]:
    """The start of the block, which tells the codes; and how many bits it has."""
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    bits_of_bits = {7: 2, 8: 2, 1: 3, 3: 3, 5: 3, 18: 3}
    codes = _codes(bits_of_bits)
    fields = [(1, 1), (2, 2), (285 - _END, 5), (0, 5), (len(order) - 4, 4)]
    fields += [(bits_of_bits.get(symbol, 0), 3) for symbol in order]
    lengths = [_BITS.get(symbol, 0) for symbol in range(286)] + [1]
    absent = [138, 116]  # between black and white no value occurs: 254 of them
    written = [lengths[0], 18, 18, *lengths[_WHITE:]]
    for symbol in written:
        fields.append((codes[symbol], bits_of_bits[symbol]))
        if symbol == 18:
            fields.append((absent.pop(0) - 11, 7))
    value = count = 0
    for field, width in fields:
        value |= field << count
        count += width
    return value, count


def _rest(length: int, colour: int) -> tuple[int, int]:
    """Code and bits of a repeat of fewer than `_LONGEST` bytes."""
    if length < 3:
        code = _CODES[colour]
        return (0, code, code | code << _COLOUR_BITS)[length], length * _COLOUR_BITS
    # RFC 1951, 3.2.5: eight lengths of their own, then four symbols for each number of extra bits.
    extra = max(0, (length - 3).bit_length() - 3)
    symbol = 257 + 4 * extra + (length - 3 >> extra)
    value = _CODES[symbol] | (length - 3 & (1 << extra) - 1) << _BITS[symbol]
    return value, _BITS[symbol] + extra + 1


_CODES = _codes(_BITS)
_COLOURS = np.array([_CODES[_BLACK], _CODES[_WHITE]])
_RESTS = np.array([[_rest(n, c)[0] for n in range(_LONGEST)] for c in (_BLACK, _WHITE)])
_REST_BITS = np.array([_rest(n, _BLACK)[1] for n in range(_LONGEST)])
_HEADER_VALUE, _HEADER_BITS = _header()
_HEADER = np.frombuffer(_HEADER_VALUE.to_bytes(_HEADER_BITS // 8 + 1, "little"), np.uint8)
