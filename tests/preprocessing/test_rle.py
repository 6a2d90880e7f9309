import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco
from skimage import data

from preprocessing.errors import MaskRejectedError
from preprocessing.rle import decode_rle, encode_rle

any_mask = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24))
HORSE = ~data.horse()


@given(any_mask)
def test_masks_come_back(mask):
    np.testing.assert_array_equal(decode_rle(encode_rle(mask), mask.shape), mask)


@given(any_mask)
def test_pycocotools_writes_the_same(mask):
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert encode_rle(mask) == theirs


@pytest.mark.parametrize("mask", [HORSE, ~HORSE, np.ones((700, 900), bool), np.zeros((3, 2), bool)])
def test_pycocotools_reads_large_masks(mask):
    counts = encode_rle(mask)
    theirs = coco.decode({"size": list(mask.shape), "counts": counts})
    np.testing.assert_array_equal(theirs.astype(bool), mask)
    np.testing.assert_array_equal(decode_rle(counts, mask.shape), mask)


@given(st.text(max_size=20))
def test_any_text_is_a_mask_or_is_refused(counts):
    with contextlib.suppress(MaskRejectedError):
        assert decode_rle(counts, (4, 5)).shape == (4, 5)


@pytest.mark.parametrize(
    ("counts", "words"),
    [("04", "add up to 4"), ("0P", "within a number"), ("0 ", "character 1"), ("", "add up to 0")],
)
def test_what_is_wrong_is_said(counts, words):
    with pytest.raises(MaskRejectedError, match=words):
        decode_rle(counts, (2, 4))
