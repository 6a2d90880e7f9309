import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import structural_similarity

from preprocessing.colour_difference import ciede2000, lab
from preprocessing.colour_lut import apply_lut
from preprocessing.native_picture import as_fractions
from preprocessing.white_balance import (
    DAYLIGHT,
    Light,
    decode,
    encode,
    estimate_gains,
    gains_for,
)
from tests.preprocessing.colour_chart import CHART

PHOTOS = {
    "chart": CHART,
    "astronaut": data.astronaut(),
    "coffee": data.coffee(),
    "cat": data.chelsea(),
    "rocket": data.rocket(),
    "motorcycle": data.stereo_motorcycle()[0],
    "tissue": data.immunohistochemistry(),
}
PHOTOS = {name: photo[::2, ::2] for name, photo in PHOTOS.items()}  # for speed
LIGHTS = [Light(3200, 0), Light(4000, 0), Light(5000, 15), Light(7500, 20), Light(9000, -10)]


def under(light, picture):
    """The picture as a camera set to daylight takes it under another light, not overexposed."""
    gains = gains_for(light)
    colour = 1 / np.array([gains.red, gains.green, gains.blue])
    return np.rint(255 * encode(decode(picture / 255) * colour / colour.max())).astype(np.uint8)


def at_exposure_of(picture, wanted):
    """White balance is about colour: the exposure that the cast took is given back."""
    factor = np.median(decode(wanted / 255).sum(-1)) / np.median(decode(picture / 255).sum(-1))
    return np.rint(255 * np.clip(encode(decode(picture / 255) * factor), 0, 1)).astype(np.uint8)


def median_difference(picture, wanted):
    one, other = at_exposure_of(picture, wanted)[::3, ::3], wanted[::3, ::3]
    return float(np.median(ciede2000(lab(one), lab(other))))


def balanced(cast):
    return apply_lut(estimate_gains(as_fractions(cast)).lut(), cast)


def test_over_a_chart_and_photographs_the_median_difference_is_below_3():
    found = {
        (name, light): median_difference(balanced(under(light, photo)), photo)
        for name, photo in PHOTOS.items()
        for light in LIGHTS
    }
    assert np.median(list(found.values())) < 3
    by_photo = {n: np.mean([found[n, light] for light in LIGHTS]) for n in PHOTOS}
    assert by_photo["chart"] < 1
    # A ginger cat that fills its photograph has no grey to go by: the one that stays wrong.
    assert {name for name, mean in by_photo.items() if mean >= 3} <= {"cat"}


@pytest.mark.parametrize("light", LIGHTS, ids=str)
@pytest.mark.parametrize("name", PHOTOS)
def test_a_known_light_is_corrected(name, light):
    cast = under(light, PHOTOS[name])
    corrected = apply_lut(gains_for(light).lut(), cast)
    assert median_difference(corrected, PHOTOS[name]) < 1


def structure(result, wanted):
    """SSIM of luminance at equal exposure."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    one, other = decode(result / 255) @ weights, decode(wanted / 255) @ weights
    one = np.clip(one * np.median(other) / np.median(one), 0, 1)
    return structural_similarity(encode(one), encode(other), data_range=1)


def test_structure_is_kept():
    known, found = {}, {}
    for name, photo in PHOTOS.items():
        for light in LIGHTS:
            cast = under(light, photo)
            known[name, light] = structure(apply_lut(gains_for(light).lut(), cast), photo)
            found[name, light] = structure(balanced(cast), photo)
    assert min(known.values()) > 0.999
    assert np.median(list(found.values())) > 0.999
    assert min(found.values()) > 0.997


@given(st.floats(2000, 14_000), st.floats(-60, 60))
def test_a_light_is_recognised_by_its_gains(temperature, tint):
    found = gains_for(Light(temperature, tint)).light
    if min(vars(gains_for(Light(temperature, tint))).values()) > 0.2:  # inside sRGB
        assert 1e6 / found.temperature_k == pytest.approx(1e6 / temperature, abs=2)
        assert found.tint == pytest.approx(tint, abs=1.5)


def test_temperature_and_tint_go_the_way_of_raw_converters():
    warm, cool = gains_for(Light(9000, 0)), gains_for(Light(3500, 0))
    assert warm.red > 1 > warm.blue  # a bluish light: the correction warms
    assert cool.blue > 1 > cool.red
    magenta = gains_for(Light(DAYLIGHT.temperature_k, 40))
    assert magenta.green < min(magenta.red, magenta.blue)


def test_planckian_colours_are_the_published_ones():
    """CIE 1931 xy of illuminant A (2856 K): 0.4476, 0.4074."""
    from preprocessing.white_balance import _locus

    u, v = _locus(np.array([2856.0]))[0]
    x, y = 3 * u / (2 * u - 8 * v + 4), 2 * v / (2 * u - 8 * v + 4)
    assert (x, y) == pytest.approx((0.4476, 0.4074), abs=5e-4)


def test_a_picture_without_usable_pixels_is_left_alone():
    for level in (0.0, 1.0):
        gains = estimate_gains(np.full((100, 3), level))
        assert (gains.red, gains.green, gains.blue) == (1, 1, 1)


def test_a_grey_keeps_its_luminance():
    for light in LIGHTS:
        gains = gains_for(light)
        luminance = 0.2126 * gains.red + 0.7152 * gains.green + 0.0722 * gains.blue
        assert luminance == pytest.approx(1, abs=1e-6)
