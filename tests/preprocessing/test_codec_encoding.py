"""Encoding: what comes back is what went in, or close where the format loses something."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from preprocessing import codec
from preprocessing.codec import decode_image, decode_mask
from preprocessing.errors import ImageRejectedError
from tests.preprocessing.pictures import ASTRONAUT, close

GREY = np.asarray(Image.fromarray(ASTRONAUT).convert("L"))
MASK = np.zeros((160, 200), np.uint8)
MASK[30:90, 50:120] = 255


def test_png_round_trips():
    np.testing.assert_array_equal(decode_image(codec.encode_png(ASTRONAUT)).pixels, ASTRONAUT)
    np.testing.assert_array_equal(decode_mask(codec.encode_png(GREY)), GREY)
    both = decode_image(codec.encode_png(ASTRONAUT, alpha=MASK))
    np.testing.assert_array_equal(both.alpha, MASK)
    np.testing.assert_array_equal(both.pixels[MASK == 255], ASTRONAUT[MASK == 255])
    np.testing.assert_array_equal(decode_mask(codec.encode_mask_png(MASK > 0)), MASK)


@pytest.mark.parametrize("encoder", [codec.encode_jpeg, codec.encode_webp])
def test_lossy_formats_come_close(encoder):
    photo = data.coffee()
    better, worse = encoder(photo, quality=95), encoder(photo, quality=30)
    assert len(worse) < len(better)
    assert close(decode_image(better).pixels, photo, 3)
    assert close(decode_image(encoder(photo[::2, ::-2])).pixels, photo[::2, ::-2], 5)


def test_webp_has_a_longest_side():
    with pytest.raises(ImageRejectedError, match=r"16383 pixels; it is 16384 x 4") as caught:
        codec.encode_webp(np.zeros((4, 16_384, 3), np.uint8))
    assert caught.value.code == "image_too_large"


def test_nothing_is_written_to():
    frozen = ASTRONAUT.copy()
    frozen.setflags(write=False)
    codec.encode_png(frozen, alpha=MASK)
    codec.encode_jpeg(frozen)
    codec.encode_webp(frozen)
