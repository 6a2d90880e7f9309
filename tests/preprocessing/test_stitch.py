import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from skimage import data

from preprocessing.codec import decode_image, encode_png
from preprocessing.compose import Preserve
from preprocessing.crop import plan_crop
from preprocessing.image_header import ImageLimits
from preprocessing.masks import bounding_box
from preprocessing.sizes import fit_area
from preprocessing.stitch import stitch
from tests.preprocessing.drifting_generator import DriftingGenerator

ASTRONAUT, COFFEE, CAT = data.astronaut(), data.coffee(), data.chelsea()
AREA = 256 * 256
THIN = ImageLimits(max_aspect=100)
TINTED = (1.05, 1.0, 0.95)


@st.composite
def sizes(draw):
    """Sides from 64 to 4000, at most 2 megapixels."""
    width = draw(st.integers(64, 4000))
    return width, draw(st.integers(64, min(4000, max(64, 2_000_000 // width))))


@st.composite
def masks(draw, size_wh):
    """An ellipse, a box or strokes, hard or soft, anywhere."""
    width, height = size_wh
    levels = np.zeros((height, width), np.uint8)
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    w, h = draw(st.integers(1, width)), draw(st.integers(1, height))
    kind = draw(st.sampled_from(["ellipse", "box", "stroke"]))
    if kind == "ellipse":
        cv2.ellipse(levels, (x, y), (w // 2 + 1, h // 2 + 1), 30, 0, 360, 255, -1)
    elif kind == "box":
        levels[y : y + h, x : x + w] = 255
    else:
        cv2.line(levels, (x, y), (w, h), 255, draw(st.integers(1, 40)))
    if draw(st.booleans()):
        levels = cv2.blur(levels, (9, 9))
    return levels


@st.composite
def edits(draw):
    size_wh = draw(sizes())
    return size_wh, draw(masks(size_wh)), draw(st.integers(0, 40)), draw(st.booleans())


@pytest.mark.parametrize("size_wh", [(1024, 1024), (1328, 800)])
@pytest.mark.parametrize("corner", [(40, 60), (620, 500)])
def test_motion_is_the_whole_pictures_wherever_a_small_mask_is(size_wh, corner):
    original = cv2.resize(ASTRONAUT, size_wh, interpolation=cv2.INTER_CUBIC)
    x, y = corner
    levels = np.zeros(size_wh[::-1], np.uint8)
    levels[y : y + 180, x : x + 160] = 255
    painted = DriftingGenerator((3, -2), 1.01, TINTED).paint(original, levels > 0)
    preservation = stitch(original, painted, levels).preservation
    assert preservation.outside_equal
    assert preservation.shift == pytest.approx((3, -2), abs=0.25)
    assert preservation.scale == pytest.approx(1.01, abs=0.001)
    assert preservation.ring_delta_e < 2


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@example(((4000, 500), np.pad(np.full((60, 90), 255, np.uint8), ((99, 341), (3700, 210))), 8, True))
@given(edits())
def test_outside_the_mask_the_file_decodes_to_the_inputs_bits(edit):
    size_wh, levels, feather_px, drifts = edit
    inside = levels >= 128
    box = bounding_box(inside)
    assume(box is not None)
    original = cv2.resize(ASTRONAUT, size_wh)
    original = decode_image(encode_png(original), THIN).pixels
    crop = plan_crop(box, size_wh, AREA)
    x0, y0, x1, y1 = crop or (0, 0, *size_wh)
    generator = DriftingGenerator(
        shift=(2.5, -1) if drifts else (0, 0),
        tint=TINTED if drifts else (1, 1, 1),
        size_wh=fit_area((x1 - x0, y1 - y0), AREA),
    )
    painted = generator.paint(original[y0:y1, x0:x1], inside[y0:y1, x0:x1])
    for preserve in (Preserve.EXACT, Preserve.SOFT):
        done = stitch(
            original, painted, levels, crop=crop, preserve=preserve, feather_px=feather_px
        )
        decoded = decode_image(encode_png(done.pixels), THIN).pixels
        outside = ~inside
        if preserve is Preserve.SOFT:
            side = 2 * feather_px + 1
            outside = cv2.dilate(levels, np.ones((side, side), np.uint8)) == 0
        np.testing.assert_array_equal(decoded[outside], original[outside])
        assert done.preservation.outside_equal
        assert done.preservation.outside_max_abs == 0
        assert done.preservation.mask_box == box
        assert done.preservation.mask_coverage == pytest.approx(inside.mean())


def middle(picture):
    height, width = picture.shape[:2]
    levels = np.zeros((height, width), np.uint8)
    levels[height // 3 : height * 2 // 3, width // 3 : width * 2 // 3] = 255
    return levels


@pytest.mark.parametrize("picture", [ASTRONAUT, COFFEE, CAT], ids=["astronaut", "coffee", "cat"])
@pytest.mark.parametrize("shift", [(3.0, 0.0), (0.0, -3.0), (-2.4, 3.0), (0.6, 0.3)])
def test_a_shift_of_3_px_and_a_tint_of_5_percent_are_undone(picture, shift):
    levels = middle(picture)
    painted = DriftingGenerator(shift=shift, tint=TINTED).paint(picture, levels > 0)
    done = stitch(picture, painted, levels)
    assert np.abs(np.subtract(done.preservation.shift, shift)).max() < 0.25
    assert done.preservation.scale == pytest.approx(1, abs=0.001)
    assert done.preservation.ring_delta_e < 2
    assert done.warnings == ()


def test_a_zoom_is_undone_and_told_in_pixels_of_the_original():
    levels = middle(ASTRONAUT)
    generator = DriftingGenerator(shift=(2, -1), zoom=1.01, size_wh=(256, 256))
    done = stitch(ASTRONAUT, generator.paint(ASTRONAUT, levels > 0), levels)
    assert done.preservation.shift == pytest.approx((4, -2), abs=0.25)
    assert done.preservation.scale == pytest.approx(1.01, abs=0.001)
    assert done.preservation.ring_delta_e < 3


def test_inside_the_mask_the_drift_is_undone_too():
    """What was painted lands where it was painted for: an edge that runs through the mask fits."""
    levels = middle(ASTRONAUT)
    nothing = np.zeros_like(levels) > 0  # the generator repaints the picture as it is
    painted = DriftingGenerator(shift=(3, -2), tint=TINTED).paint(ASTRONAUT, nothing)
    plain = np.abs(painted.astype(int) - ASTRONAUT)[levels > 0].mean()
    done = stitch(ASTRONAUT, painted, levels)
    left = np.abs(done.pixels.astype(int) - ASTRONAUT)[levels > 0].mean()
    assert left < plain / 8


def test_what_shows_another_picture_is_pasted_as_it_is():
    levels = middle(ASTRONAUT)
    done = stitch(ASTRONAUT, COFFEE, levels, feather_px=0)
    plain = cv2.resize(COFFEE, (512, 512), interpolation=cv2.INTER_LANCZOS4)
    np.testing.assert_array_equal(done.pixels[levels > 0], plain[levels > 0])
    assert (done.preservation.shift, done.preservation.scale) == ((0, 0), 1)
    assert done.preservation.ring_delta_e > 10
    assert "does not show the original (correlation" in done.warnings[0]


def test_on_a_plain_wall_there_is_nothing_to_align_but_a_colour_to_meet():
    noise = np.random.default_rng(0).normal(0, 2, (2, 300, 400, 3))
    wall, painted = np.clip(np.array([180, 170, 150]) + noise, 0, 255).astype(np.uint8)
    levels = middle(wall)
    done = stitch(wall, np.clip(painted * np.array(TINTED), 0, 255).astype(np.uint8), levels)
    assert done.warnings == ()
    assert done.preservation.shift == (0, 0)
    inside = done.pixels[levels > 0].mean(axis=0)
    assert np.abs(inside - (180, 170, 150)).max() < 1


def test_a_flat_painting_of_a_rich_picture_is_told():
    levels = middle(ASTRONAUT)
    done = stitch(ASTRONAUT, np.full_like(ASTRONAUT, 7), levels)
    assert "does not show the original" in done.warnings[0]
    assert (done.pixels[250:262, 250:262] == 7).all()


def test_of_a_large_photograph_a_crop_is_edited_at_its_own_resolution():
    large = cv2.resize(COFFEE, (3000, 2000), interpolation=cv2.INTER_CUBIC)
    large = np.clip(large + np.random.default_rng(0).normal(0, 12, large.shape), 0, 255)
    large = large.astype(np.uint8)
    levels = np.zeros((2000, 3000), np.uint8)
    levels[900:1000, 1400:1560] = 255
    x0, y0, x1, y1 = crop = plan_crop(bounding_box(levels > 0), (3000, 2000), 512 * 512)
    nothing = np.zeros((y1 - y0, x1 - x0), bool)
    size_wh = fit_area((x1 - x0, y1 - y0), 512 * 512)
    painted = DriftingGenerator(size_wh=size_wh).paint(large[y0:y1, x0:x1], nothing)
    by_crop = stitch(large, painted, levels, crop=crop).pixels
    shrunk = DriftingGenerator(size_wh=(624, 416)).paint(large, levels > 255)
    by_whole = stitch(large, shrunk, levels).pixels
    inside = levels > 0

    def error(result):
        return np.abs(result[inside].astype(int) - large[inside]).mean()

    assert error(by_crop) < error(by_whole) / 4


def test_preserve_none_leaves_the_crop_to_the_generator():
    levels = middle(ASTRONAUT)
    crop = (100, 100, 400, 400)
    painted = np.full((64, 64, 3), 9, np.uint8)
    done = stitch(ASTRONAUT, painted, levels, crop=crop, preserve=Preserve.NONE)
    assert (done.pixels[100:400, 100:400] == 9).all()
    np.testing.assert_array_equal(done.pixels[:100], ASTRONAUT[:100])
    assert done.preservation is None


def test_soft_levels_are_weights():
    levels = np.zeros((512, 512), np.uint8)
    levels[200:300, 200:300] = 51
    painted = 255 - ASTRONAUT
    done = stitch(ASTRONAUT, painted, levels, preserve=Preserve.SOFT, feather_px=0)
    mixed = ASTRONAUT * 0.8 + painted * 0.2
    assert np.abs(done.pixels - mixed)[200:300, 200:300].max() <= 1
    assert done.preservation.outside_equal


def test_nothing_is_written_to():
    levels = middle(CAT)
    arrays = [CAT.copy(), DriftingGenerator(shift=(2, 1)).paint(CAT, levels > 0), levels]
    for array in arrays:
        array.setflags(write=False)
    stitch(*arrays)
