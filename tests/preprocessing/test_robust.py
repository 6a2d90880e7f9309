"""Weights after Huber, against a plain statement of them."""

import numpy as np
import pytest

from preprocessing.robust import huber


@pytest.mark.parametrize("count", [1, 2, 7, 2000, 2001])
@pytest.mark.parametrize("scale", [0.0, 0.1, 30.0])
def test_what_is_beyond_twice_the_median_counts_less(count, scale):
    residual = np.random.default_rng(count).normal(0, scale, count)
    knee = max(0.5, 2 * float(np.median(np.abs(residual))))
    plain = np.minimum(1, knee / np.maximum(np.abs(residual), 1e-9))
    before = residual.copy()
    np.testing.assert_allclose(huber(residual, least=0.5), plain, rtol=1e-12)
    np.testing.assert_array_equal(residual, before)
