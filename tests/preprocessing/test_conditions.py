import numpy as np
import pytest
from skimage import data

from preprocessing import conditions
from preprocessing.errors import MaskRejectedError
from preprocessing.prefill import telea
from tests.preprocessing import plain_recipes as plain

PHOTOS = {"astronaut": data.astronaut(), "coffee": data.coffee(), "cat": data.chelsea()}
REFERENCE = data.rocket()[:400, :400]


def blob(shape_hw, *, soft=False):
    """A mask that is neither convex nor symmetric, clear of the edges."""
    height, width = shape_hw
    y, x = np.mgrid[:height, :width]
    inside = ((x - 0.55 * width) / 0.2 / width) ** 2 + ((y - 0.5 * height) / 0.3 / height) ** 2 < 1
    inside &= ~((x > 0.6 * width) & (y < 0.45 * height))
    levels = np.where(inside, np.uint8(255), np.uint8(0))
    if soft:
        levels[int(0.8 * height) : int(0.85 * height), width // 4 : width // 2] = 90
    return levels


def close(actual, expected, within=1.0):
    """To rounding; a Gaussian in fixed point may be a level off besides."""
    assert actual.dtype == np.uint8
    assert np.abs(actual - expected).max() <= within


def as_rgb(levels):
    return np.stack([levels] * 3, -1)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("soft", [False, True])
def test_removal(name, soft):
    image = PHOTOS[name]
    levels = blob(image.shape[:2], soft=soft)
    guess = telea(image, levels >= 128)
    made = conditions.removal(image, levels, guess)
    assert made.labels == ("masked_image", "mask", "prefill")
    close(made.images[0], plain.hidden(image, levels), 0.5)
    close(made.images[1], as_rgb(levels), 0)
    close(made.images[2], guess, 0)


@pytest.mark.parametrize("name", PHOTOS)
def test_white_balance(name):
    image = PHOTOS[name]
    made = conditions.white_balance(image)
    assert made.labels == ("image", "edges")
    close(made.images[0], image, 0)
    edges, expected = made.images[1], as_rgb(plain.canny(image))
    assert np.isin(edges, (0, 255)).all()
    # Luminance in fixed point is a level off here and there, and a threshold is a threshold.
    assert (edges != expected).mean() < 0.002
    assert (edges > 0).mean() > 0.01


@pytest.mark.parametrize("name", PHOTOS)
def test_insertion_by_prompt(name):
    image = PHOTOS[name]
    levels = blob(image.shape[:2], soft=True)
    made = conditions.insertion(image, levels)
    assert made.labels == ("mask", "masked_image")
    close(made.images[0], as_rgb(levels), 0)
    close(made.images[1], plain.hidden(image, levels), 0.5)


@pytest.mark.parametrize("name", PHOTOS)
def test_insertion_with_a_reference(name):
    image = PHOTOS[name]
    height, width = image.shape[:2]
    levels = blob((height, width))
    reference = data.astronaut()[:, 100:300].repeat(2, 0).repeat(2, 1)[: 2 * height, : 2 * width]
    made = conditions.insertion(image, levels, reference=reference)
    assert made.labels == ("reference", "expanded_mask", "shadow_hint")
    canvas = np.full((height, width, 3), 255.0)
    if reference.shape[0] == 2 * height:  # fits by halving, where plain means say it all
        half = plain.halved(reference)
        left = (width - half.shape[1]) // 2
        canvas[:, left : left + half.shape[1]] = half
        close(made.images[0], canvas)
    assert made.images[0].shape == image.shape
    close(made.images[1], as_rgb(plain.expanded(levels > 0)), 0)
    hinted = plain.hidden(plain.shadowed(image, levels > 0), levels)
    close(made.images[2], hinted)
    assert made.placed is None


@pytest.mark.parametrize("name", PHOTOS)
def test_insertion_with_a_reference_and_its_mask_into_several_regions(name):
    image = PHOTOS[name]
    levels = np.zeros(image.shape[:2], np.uint8)
    levels[40:140, 30:130] = 255  # the shape fits by halving
    levels[160:260, 180:430] = 255  # wider: centred, height decides
    levels[5, 5] = 255  # a slip of the brush
    shape = np.zeros(REFERENCE.shape[:2], bool)
    shape[100:300, 50:250] = blob((200, 200)) > 0
    shape[100, 50] = shape[299, 249] = True  # its box is 200 x 200
    made = conditions.insertion(image, levels, reference=REFERENCE, reference_mask=shape)
    half = plain.halved(shape[100:300, 50:250].astype(float)) >= 0.5
    placed = np.zeros(levels.shape, bool)
    placed[40:140, 30:130] = half
    placed[160:260, 255:355] = half
    assert made.labels == ("reference", "expanded_mask", "shadow_hint")
    np.testing.assert_array_equal(made.placed, placed)
    close(made.images[0], REFERENCE, 0)
    close(made.images[1], as_rgb(plain.expanded(placed)), 0)
    close(made.images[2], plain.hidden(plain.shadowed(image, placed), 255 * placed))


def test_a_reference_mask_of_the_origin_is_put_through_the_extraction():
    image, levels = PHOTOS["coffee"], blob((400, 600))
    origin = np.zeros((800, 1200), bool)
    origin[100:300, 200:1000] = True  # 800 x 200: on a square of 1024 it is 1024 x 256
    square = np.full((1024, 1024, 3), 255, np.uint8)
    square[384:640] = 60
    made = conditions.insertion(image, levels, reference=square, reference_mask=origin)
    own = np.zeros((1024, 1024), bool)
    own[384:640] = True
    same = conditions.insertion(image, levels, reference=square, reference_mask=own)
    np.testing.assert_array_equal(made.placed, same.placed)
    with pytest.raises(MaskRejectedError, match="512 x 300; it is 1024 x 1024"):
        conditions.insertion(image, levels, reference=square[:300, :512], reference_mask=origin)
    with pytest.raises(MaskRejectedError, match="selects 0"):
        conditions.insertion(image, levels, reference=square, reference_mask=own & False)


def test_further_pictures_follow_in_their_order():
    image, others = PHOTOS["cat"], [PHOTOS["coffee"], REFERENCE]
    edit = conditions.edit(image, others)
    assert edit.labels == ("image", "reference_1", "reference_2")
    for shown, given in zip(edit.images, [image, *others], strict=True):
        assert shown is given
    levels = blob(image.shape[:2], soft=True)
    inpaint = conditions.inpaint(image, levels, others)
    assert inpaint.labels == ("masked_image", "mask", "reference_1", "reference_2")
    close(inpaint.images[0], plain.hidden(image, levels), 0.5)
    close(inpaint.images[1], as_rgb(levels), 0)


@pytest.mark.parametrize("recipe", ["insertion", "removal", "inpaint"])
def test_a_mask_of_another_size_is_refused(recipe):
    image, levels = PHOTOS["cat"], np.full((20, 20), 255, np.uint8)
    more = {"insertion": (), "removal": (image,), "inpaint": ((),)}[recipe]
    with pytest.raises(MaskRejectedError, match="451 x 300; it is 20 x 20"):
        getattr(conditions, recipe)(image, levels, *more)


def test_the_shadow_stays_in_the_picture():
    levels = np.zeros((300, 451), np.uint8)
    levels[250:, 400:] = 255
    made = conditions.insertion(PHOTOS["cat"], levels, reference=REFERENCE)
    close(made.images[1], as_rgb(plain.expanded(levels > 0)), 0)
    close(
        made.images[2],
        plain.hidden(plain.shadowed(PHOTOS["cat"], levels > 0), levels),
    )


def test_nothing_is_written_to():
    image, levels = PHOTOS["cat"].copy(), blob((300, 451))
    shape = np.ones(REFERENCE.shape[:2], bool)
    for array in (image, levels, shape):
        array.setflags(write=False)
    conditions.insertion(image, levels, reference=REFERENCE, reference_mask=shape)
    conditions.removal(image, levels, telea(image, levels > 0))
    conditions.white_balance(image)
