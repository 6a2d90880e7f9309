"""Which part of a large photograph an edit needs to see.

A network that paints about one megapixel would see a 24 megapixel photograph shrunk to a fifth per
side, and give a fifth of its detail back. It sees a padded crop around the mask instead.
"""

from __future__ import annotations

from preprocessing.sizes import MULTIPLE

Box = tuple[int, int, int, int]

WORTH_IT = 1.5
"""Crop only pictures of more than so many times the painted area: below, little detail is lost."""
CONTEXT = 0.5
"""Of the mask box's longer side, on each side: the generator must see what it paints into."""
MIN_CONTEXT_PX = 64
MAX_ASPECT = 2.0
"""Longer over shorter side of the crop: the networks were trained on shapes near a square."""
_WHOLE = 0.9  # a crop of more than this share of the picture is the picture


def plan_crop(mask_box: Box, image_wh: tuple[int, int], area: int) -> Box | None:
    """The crop to edit, xyxy in the picture; None where the whole picture does as well.

    It holds the mask's box with context, has at least `area` pixels where the picture has, so that
    nothing is enlarged without need, and lies inside the picture.

    Args:
        mask_box: xyxy of the mask, right and bottom exclusive.
        image_wh: the picture's sides.
        area: pixels that the network paints.

    >>> plan_crop((2800, 1900, 3000, 2100), (6000, 4000), 1024 * 1024)
    (2388, 1488, 3412, 2512)
    >>> plan_crop((10, 10, 90, 90), (1024, 1024), 1024 * 1024) is None
    True
    """
    width, height = image_wh
    if width * height <= WORTH_IT * area:
        return None
    x0, y0, x1, y1 = mask_box
    context = max(MIN_CONTEXT_PX, round(CONTEXT * max(x1 - x0, y1 - y0)))
    wanted_w, wanted_h = _roomy(x1 - x0 + 2 * context, y1 - y0 + 2 * context, area)
    left, right = _placed((x0 + x1) / 2, wanted_w, width)
    top, bottom = _placed((y0 + y1) / 2, wanted_h, height)
    if (right - left) * (bottom - top) > _WHOLE * width * height:
        return None
    return left, top, right, bottom


def _roomy(width: int, height: int, area: int) -> tuple[int, int]:
    """Sides of at least the given ones, of a shape not too long, with at least `area` pixels."""
    width = max(width, round(height / MAX_ASPECT))
    height = max(height, round(width / MAX_ASPECT))
    if width * height < area:
        side = round(area**0.5)
        # A square first, as far as the sides given allow; then what is missing.
        width, height = max(width, min(side, area // height)), max(height, min(side, area // width))
        height = max(height, -(-area // width))
    return width, height


def _placed(centre: float, length: int, limit: int) -> tuple[int, int]:
    """An interval of `length` around `centre`, moved and at last cut to fit 0 to `limit`."""
    length = min(max(length, MULTIPLE), limit)
    start = min(max(0, round(centre - length / 2)), limit - length)
    return start, start + length
