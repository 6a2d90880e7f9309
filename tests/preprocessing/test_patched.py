"""A patched picture equals the one that is put together, row by row and as a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.codec import decode_image, encode_png
from preprocessing.patched import PatchedImage

RNG = np.random.default_rng(0)
ORIGINAL = RNG.integers(0, 256, (40, 30, 3), np.uint8)


@given(st.data())
def test_any_rows_are_those_of_the_whole(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 30))
    corner = data.draw(st.integers(0, 30 - width)), data.draw(st.integers(0, 40 - height))
    rows = slice(data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40)))
    patch = RNG.integers(0, 256, (height, width, 3), np.uint8)
    whole = ORIGINAL.copy()
    whole[corner[1] : corner[1] + height, corner[0] : corner[0] + width] = patch
    kept = ORIGINAL.copy()
    patched = PatchedImage(ORIGINAL, patch, corner)
    assert np.array_equal(patched.rows(rows), whole[rows])
    assert np.array_equal(patched.whole(), whole)
    assert np.array_equal(ORIGINAL, kept)


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("patch", [None, np.zeros((600, 500, 3), np.uint8)], ids=["plain", "patch"])
def test_its_png_is_that_of_the_whole(*, has_alpha: bool, patch: np.ndarray | None) -> None:  # type: ignore[type-arg]
    """Larger than a strip of the writer."""
    original = RNG.integers(0, 256, (1000, 900, 3), np.uint8)
    alpha = RNG.integers(1, 256, (1000, 900), np.uint8) if has_alpha else None
    patched = PatchedImage(original, patch, (77, 300))
    data = encode_png(patched, alpha=alpha)
    assert data == encode_png(patched.whole(), alpha=alpha)
    if alpha is None:
        assert np.array_equal(decode_image(data).pixels, patched.whole())
