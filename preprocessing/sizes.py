"""Sizes that the image networks can draw."""

from __future__ import annotations

import math

from preprocessing.errors import SizeRejectedError

MULTIPLE = 16
"""The VAE's 8 pixels per latent times the transformer's 2 latents per patch (Qwen-Image)."""


def fit_area(size_wh: tuple[int, int], area: int, *, multiple: int = MULTIPLE) -> tuple[int, int]:
    """Find the size of the same aspect with about `area` pixels, sides multiples of `multiple`.

    As `calculate_dimensions` of diffusers' Qwen-Image-Edit pipeline: width = sqrt(area * aspect),
    height = width / aspect, each rounded to the nearest multiple; never below one multiple.

    >>> fit_area((4000, 3000), 1024 * 1024)
    (1184, 880)
    """
    aspect = size_wh[0] / size_wh[1]
    width = math.sqrt(area * aspect)
    return _nearest(width, multiple), _nearest(width / aspect, multiple)


def check_size(
    size_wh: tuple[int, int],
    *,
    min_side: int = 64,
    max_area: int = 4_194_304,
    multiple: int = MULTIPLE,
) -> None:
    """Refuse an output size that is too small, too large or not in steps of `multiple`.

    Raises:
        SizeRejectedError: unsupported_size.
    """
    width, height = size_wh
    if width % multiple or height % multiple:
        rule = f"Both sides must be multiples of {multiple}"
    elif min(size_wh) < min_side:
        rule = f"Both sides must be at least {min_side} pixels"
    elif width * height > max_area:
        rule = f"The size may have at most {max_area} pixels"
    else:
        return
    raise SizeRejectedError(
        "unsupported_size", f"{rule}; it is {width} x {height} = {width * height} pixels."
    )


def _nearest(side: float, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple
