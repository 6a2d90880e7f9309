"""Mask files of every mode become levels of one plane."""

import numpy as np
import pytest
from PIL import Image

from preprocessing.codec import decode_image, decode_mask
from preprocessing.errors import ImageRejectedError
from tests.preprocessing.pictures import (
    encode,
    exif,
    png,
    stored_sideways,
)

MASK = np.zeros((160, 200), np.uint8)
MASK[30:90, 50:120] = 255


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_mask_modes(mode):
    form = "TIFF" if mode == "CMYK" else "PNG"
    np.testing.assert_array_equal(
        decode_mask(encode(Image.fromarray(MASK).convert(mode), form)), MASK
    )


def test_mask_of_16_bits():
    np.testing.assert_array_equal(decode_mask(encode(MASK.astype(np.uint16) * 257, "PNG")), MASK)


def test_mask_is_composited_on_black_and_upright():
    white = np.full_like(MASK, 255)
    stored = stored_sideways(np.dstack([white, white, white, MASK]), 6)
    np.testing.assert_array_equal(decode_mask(encode(stored, "PNG", exif=exif(6))), MASK)


WHOLE_MASK = encode(MASK, "PNG")


@pytest.mark.parametrize(
    "file",
    [
        WHOLE_MASK[:-40],
        WHOLE_MASK[:-60] + bytes(40) + WHOLE_MASK[-20:],
        png(64, 64, colour=0, rows=b"\0" * 1000),
        png(64, 64, colour=0),
    ],
    ids=["cut", "overwritten", "few rows", "no rows"],
)
def test_damaged_mask_is_refused(file):
    for decode in (decode_mask, decode_image):
        with pytest.raises(ImageRejectedError):
            decode(file)
