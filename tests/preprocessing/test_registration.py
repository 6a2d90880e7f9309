import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from preprocessing.motion import Motion
from preprocessing.registration import estimate_motion
from preprocessing.ring import estimate_cast, mean_difference, places_on, ring_around
from tests.preprocessing.drifting_generator import DriftingGenerator

CAT = data.chelsea()
MASK = np.zeros(CAT.shape[:2], bool)
MASK[100:200, 150:300] = True
RING = ring_around(MASK)
PLACES = places_on(RING)
small = st.floats(-6, 6)


@settings(deadline=None, max_examples=25)
@given(small, small, st.floats(0.985, 1.015), st.floats(0.85, 1.15))
def test_motion_is_found_to_a_quarter_of_a_pixel(dx, dy, zoom, brightness):
    generator = DriftingGenerator((dx, dy), zoom, (brightness,) * 3)
    motion = estimate_motion(CAT, generator.paint(CAT, MASK), RING)
    assert motion.is_trusted
    assert np.abs(np.subtract(motion.shift, (dx, dy))).max() < 0.25
    assert abs(motion.scale - zoom) < 0.0015


def test_motion_is_found_wherever_the_mask_is():
    random, errors = np.random.default_rng(1), []
    for picture in (CAT, data.astronaut(), data.coffee()):
        height, width = picture.shape[:2]
        for _ in range(20):
            x, y = random.integers(0, width - 80), random.integers(0, height - 80)
            w, h = random.integers(40, width // 2), random.integers(40, height // 2)
            mask = np.zeros((height, width), bool)
            mask[y : y + h, x : x + w] = True
            shift, zoom = random.uniform(-6, 6, 2), random.uniform(0.985, 1.015)
            painted = DriftingGenerator(tuple(shift), zoom).paint(picture, mask)
            motion = estimate_motion(picture, painted, ring_around(mask))
            assert motion.is_trusted
            errors.append(np.abs(np.subtract(motion.shift, shift)).max())
    assert np.quantile(errors, 0.9) < 0.1
    assert max(errors) < 0.5


def test_the_centre_is_the_pictures_wherever_the_ring_is():
    mask = np.zeros_like(MASK)
    mask[20:60, 20:70] = True
    painted = DriftingGenerator((2, -3), 1.02).paint(CAT, mask)
    motion = estimate_motion(CAT, painted, ring_around(mask))
    assert motion.shift == pytest.approx((2, -3), abs=0.3)
    assert motion.scale == pytest.approx(1.02, abs=0.003)


def test_equal_pictures_are_not_touched():
    motion = estimate_motion(CAT, CAT, RING)
    assert motion == Motion(correlation=motion.correlation)
    assert motion.undo(CAT) is CAT


@pytest.mark.parametrize("motion", [Motion(), Motion((2.3, -1.6), 1.01)])
def test_what_is_undone_in_a_box_or_at_places_is_undone_alike(motion):
    whole = motion.undo(CAT)
    np.testing.assert_array_equal(motion.undo(CAT, (50, 20, 90, 75)), whole[20:75, 50:90])
    differences = motion.undone_at(CAT, *PLACES).astype(int) - whole[PLACES]
    assert np.abs(differences).max() <= 2  # two routines of OpenCV


@pytest.mark.parametrize("shift", [(0.5, -0.25), (3.4, 2.0), (-7.3, 5.9), (1.0, 0.0)])
@pytest.mark.parametrize("box", [None, (0, 0, 60, 40), (380, 250, 451, 300), (120, 90, 240, 160)])
def test_a_shift_alone_is_undone_as_a_warp_would(shift, box):
    height, width = CAT.shape[:2]
    x0, y0, x1, y1 = box or (0, 0, width, height)
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    how = {"flags": cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}
    warped = cv2.warpAffine(CAT, matrix, (width, height), **how)[y0:y1, x0:x1]
    undone = Motion(shift).undo(CAT, box)
    assert undone.shape == warped.shape
    # A warp looks places up in steps of 1/32 of a pixel.
    assert np.abs(undone.astype(int) - warped).mean() < 0.5
    assert np.abs(undone.astype(int) - warped).max() < 12


def test_a_small_box_far_from_the_centre_moves_as_the_zoom_says():
    box = 200, 0, 216, 16
    whole = Motion((0.3, 0.2), 1.002).undo(CAT).astype(int)[:16, 200:216]
    assert np.abs(Motion((0.3, 0.2), 1.002).undo(CAT, box) - whole).mean() < 0.5
    assert np.abs(Motion((0.3, 0.2)).undo(CAT, box) - whole).mean() > 1


@pytest.mark.parametrize("other", ["noise", "flat", "another picture"])
def test_what_shows_something_else_is_not_moved(other):
    pictures = {
        "noise": np.random.default_rng(0).integers(0, 256, CAT.shape, np.uint8),
        "flat": np.full_like(CAT, 128),
        "another picture": data.coffee()[:300, :451],
    }
    motion = estimate_motion(CAT, pictures[other], RING)
    assert not motion.is_trusted
    assert motion.is_still


def test_a_blank_original_says_nothing():
    flat = np.full_like(CAT, 128)
    assert estimate_motion(flat, flat, RING).is_still


def test_along_a_lone_edge_nothing_is_made_up():
    picture = np.zeros_like(CAT)
    picture[:, 90:] = 200
    painted = np.zeros_like(CAT)
    painted[:, 93:] = 200
    motion = estimate_motion(picture, painted, RING)
    assert motion.shift[0] == pytest.approx(3, abs=0.3) or motion.is_still
    assert abs(motion.shift[1]) < 0.3


def test_a_large_jump_is_no_drift():
    painted = np.roll(CAT, 90, axis=1)
    assert estimate_motion(CAT, painted, RING).is_still


def test_a_ring_of_a_few_pixels_is_not_asked():
    few = np.zeros_like(MASK)
    few[:10, :10] = True
    assert estimate_motion(CAT, CAT[::-1].copy(), few) == Motion()


@pytest.mark.parametrize("tint", [(1.05, 1, 0.95), (0.9, 0.95, 1.1), (1, 1, 1)])
def test_a_cast_is_found_although_some_objects_changed(tint):
    painted = DriftingGenerator(tint=tint).paint(CAT, MASK)
    painted[40:70, 200:260] = (255, 0, 0)  # a tenth of the ring shows something new
    cast = estimate_cast(CAT[PLACES], painted[PLACES])
    assert cast.gain == pytest.approx(tuple(1 / t for t in tint), abs=0.02)
    clean = RING.copy()
    clean[38:72, 198:262] = False
    places = places_on(clean)
    assert mean_difference(CAT[places], cast.undo(painted[places])) < 1
    np.testing.assert_array_equal(cast.undo(painted[places]), cast.undo(painted)[places])


def test_a_black_ring_has_no_cast():
    black = np.zeros_like(CAT)
    assert estimate_cast(black[PLACES], black[PLACES]).undo(CAT) is CAT
