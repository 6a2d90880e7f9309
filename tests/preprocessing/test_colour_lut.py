import numpy as np
import pytest
from skimage import data

from preprocessing.colour_difference import ciede2000, lab
from preprocessing.colour_lut import ColourLut, apply_lut, fit_lut, lut_of, to_cube
from preprocessing.native_picture import as_fractions
from preprocessing.white_balance import Light, gains_for
from tests.preprocessing.test_white_balance import structure

PHOTO = data.astronaut()
LAMP = gains_for(Light(3600, 12)).lut()


def read_cube(text):
    """A `.cube` file as (N, N, N, 3) by blue, green, red; after Adobe's specification."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("TITLE", "#"))]
    side = int(lines[0].removeprefix("LUT_3D_SIZE "))
    assert len(lines) == side**3 + 1
    rows = np.array([[float(v) for v in line.split()] for line in lines[1:]])
    return rows.reshape(side, side, side, 3)


def tetrahedral(table, pixels):
    """What a grading tool makes of it: from the low corner along the axes, largest part first."""
    side = len(table)
    place = pixels.reshape(-1, 3) / 255 * (side - 1)
    low = np.minimum(place.astype(int), side - 2)
    part = place - low
    order = np.argsort(-part, axis=1, kind="stable")
    corner = low.copy()
    value = table[corner[:, 2], corner[:, 1], corner[:, 0]]
    total, rows = value.copy(), np.arange(len(low))
    for axis in order.T:
        corner[rows, axis] += 1
        further = table[corner[:, 2], corner[:, 1], corner[:, 0]]
        total += part[rows, axis][:, None] * (further - value)
        value = further
    return 255 * total.reshape(pixels.shape)


@pytest.mark.parametrize("kind", ["light", "fitted"])
def test_the_cube_file_gives_the_same_picture_within_a_level(kind):
    lut = LAMP
    if kind == "fitted":
        proposed = apply_lut(LAMP, PHOTO)
        lut = fit_lut(as_fractions(PHOTO[::4, ::4]), as_fractions(proposed[::4, ::4]))
    ours = apply_lut(lut, PHOTO)
    theirs = tetrahedral(read_cube(to_cube(lut, kind)), PHOTO)
    assert np.abs(ours - theirs).max() <= 0.51


def test_16_bits_are_kept_and_agree_with_8():
    deep = PHOTO.astype(np.uint16) * 257
    deep[..., 0] -= np.minimum(deep[..., 0], np.arange(512, dtype=np.uint16)[None] % 100)
    result = apply_lut(LAMP, deep)
    assert result.dtype == np.uint16
    assert len(np.unique(result[..., 1])) > 200
    assert np.abs(result / 257 - apply_lut(LAMP, PHOTO)).max() <= 1.5
    same = apply_lut(lut_of(lambda rgb: rgb), deep)
    np.testing.assert_array_equal(same, deep)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_table_without_mixing_is_applied_as_curves_alike(depth):
    """The same table, once with a trace of mixing, so that it takes the longer way."""
    pixels = PHOTO.astype(depth) * (257 if depth == np.uint16 else 1)
    mixing = LAMP.table + np.float32(1e-7) * LAMP.table[..., ::-1]
    longer = apply_lut(ColourLut(mixing), pixels)
    shorter = apply_lut(LAMP, pixels)
    assert shorter.dtype == depth
    assert np.abs(shorter.astype(int) - longer).max() <= 1


def test_a_fit_finds_the_transform_again():
    proposed = apply_lut(gains_for(Light(5000, 12)).lut(), PHOTO)
    lut = fit_lut(as_fractions(PHOTO[::4, ::4]), as_fractions(proposed[::4, ::4]))
    difference = ciede2000(lab(apply_lut(lut, PHOTO)), lab(proposed))
    assert np.median(difference) < 0.5
    assert np.quantile(difference, 0.99) < 2


def test_a_fit_takes_the_colours_and_leaves_the_detail():
    """The proposal is repainted: other texture, and an object that is not there."""
    proposed = apply_lut(LAMP, PHOTO).astype(float)
    proposed += np.random.default_rng(0).normal(0, 20, PHOTO.shape)
    proposed[100:200, 100:200] = (0, 255, 0)
    proposed = np.clip(proposed, 0, 255).astype(np.uint8)
    lut = fit_lut(as_fractions(PHOTO[::2, ::2]), as_fractions(proposed[::2, ::2]))
    result = apply_lut(lut, PHOTO)
    wanted = apply_lut(LAMP, PHOTO)
    assert np.median(ciede2000(lab(result), lab(wanted))) < 3
    assert structure(result, wanted) > 0.99
    assert structure(proposed, wanted) < 0.8


def test_a_fit_does_not_go_wild_beyond_its_example():
    """From a picture of few colours: what it never saw changes about as much as what it saw."""
    dull = np.clip(PHOTO // 4 + 90, 0, 255).astype(np.uint8)
    lut = fit_lut(as_fractions(dull[::4, ::4]), as_fractions(apply_lut(LAMP, dull)[::4, ::4]))
    difference = np.abs(lut.table - LAMP.table)
    assert difference.max() < 0.5
    assert difference.mean() < 0.12
    diagonal = np.array([lut.table[i, i, i] for i in range(lut.side)])
    assert (np.diff(diagonal, axis=0) > -1e-3).all()


def test_the_source_is_not_written_to():
    frozen = PHOTO.copy()
    frozen.setflags(write=False)
    apply_lut(LAMP, frozen)
