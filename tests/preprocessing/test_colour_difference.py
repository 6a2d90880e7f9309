import numpy as np
from skimage import color, data

from preprocessing.colour_difference import ciede2000, lab

# Sharma, Wu and Dalal 2005, table 1: pairs 1, 4, 7, 10, 13, 16, 19, 25 and 34, by their numbers.
PUBLISHED = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0010), 7.1792),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def test_published_pairs():
    for one, other, expected in PUBLISHED:
        found = ciede2000(np.float64(one), np.float64(other))
        assert abs(found - expected) < 5e-5, (one, other)
        assert abs(ciede2000(np.float64(other), np.float64(one)) - found) < 1e-9


def test_equals_scikit_image_on_photographs():
    one, other = data.astronaut()[::7, ::7], data.astronaut()[::-7, ::7]
    expected = color.deltaE_ciede2000(lab(one), lab(other))
    np.testing.assert_allclose(ciede2000(lab(one), lab(other)), expected, atol=1e-4)
    assert np.abs(lab(one) - color.rgb2lab(one)).max() < 0.5


def test_equal_colours_do_not_differ():
    colours = np.arange(768, dtype=np.uint8).reshape(-1, 3)
    assert (ciede2000(lab(colours), lab(colours)) == 0).all()
