"""Synthetic scenes for the demo segmenter: overlapping shapes on textured backgrounds.

One scene is a pure function of its seed, so a data set needs no files and a held-out
set is a range of seeds that training never saw (`HELD_OUT_SEEDS`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

HELD_OUT_SEEDS = range(1_000_000, 1_000_200)
_MIN_AREA_FRACTION = 0.0023
_MAX_OVERLAP = 0.25


@dataclass(frozen=True)
class Scene:
    """A picture and the visible part of each of its objects."""

    image: npt.NDArray[np.uint8]
    """RGB, (size, size, 3)."""
    masks: tuple[npt.NDArray[np.bool_], ...]
    """One (size, size) mask per object; masks do not overlap: the nearer object hides the other."""


def draw_scene(seed: int, size: int = 256) -> Scene:
    """Draw a scene of 1 to 6 shapes.

    Args:
        seed: any integer >= 0; the same seed and size give the same scene.
        size: side in pixels.
    """
    rng = np.random.default_rng(seed)
    canvas, background = _texture(rng, size)
    masks: list[npt.NDArray[np.bool_]] = []
    for _ in range(rng.integers(1, 7)):
        mask = _fill(_outline(rng, size), size)
        if mask.sum() < 2 * _MIN_AREA_FRACTION * size * size or _hides_too_much(mask, masks):
            continue
        canvas = _paint(rng, canvas, mask, background)
        masks = [other & ~mask for other in masks] + [mask]
    canvas += rng.normal(0, rng.uniform(0, 8), canvas.shape)
    if rng.random() < 0.3:
        canvas[:] = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 1.0) * size / 256)
    visible = tuple(m for m in masks if m.sum() >= _MIN_AREA_FRACTION * size * size)
    return Scene(np.clip(canvas, 0, 255).astype(np.uint8), visible)


def _texture(
    rng: np.random.Generator, size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Value noise over several octaves, sometimes a gradient or stripes; and its base colour."""
    base = rng.uniform(20, 235, 3)
    image = np.zeros((size, size, 3), np.float32) + base.astype(np.float32)
    for cells in (2, 4, 8, 16, 32):
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        amplitude = rng.uniform(0, 22) / np.sqrt(cells / 2)
        image += amplitude * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        image += _gradient(rng, size)
    if rng.random() < 0.25:
        image += _stripes(rng, size)
    return image, base


def _gradient(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    plane = np.cos(angle) * ramp[None, :, None] + np.sin(angle) * ramp[:, None, None]
    return np.asarray(plane * rng.uniform(-40, 40, 3), np.float32)


def _stripes(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    frequency = rng.uniform(0.05, 0.4) * 256 / size
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:size, :size]
    wave = np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle)))
    return np.asarray(wave[..., None] * rng.uniform(5, 25), np.float32)


def _outline(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """Corner points (N, 2) of a circle, ellipse, rectangle, irregular polygon or star."""
    kind = rng.integers(0, 5)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    if kind == 0:
        points = np.stack([np.cos(turn), np.sin(turn)], 1)
    elif kind == 1:
        points = np.stack([np.cos(turn), np.sin(turn) * rng.uniform(0.4, 0.9)], 1)
    elif kind == 2:
        half = rng.uniform(0.4, 1)
        points = 0.85 * np.array([[-1, -half], [1, -half], [1, half], [-1, half]])
    elif kind == 3:
        corners = int(rng.integers(3, 8))
        turn = np.sort(rng.uniform(0, 0.6, corners) + np.arange(corners)) * 2 * np.pi / corners
        points = np.stack([np.cos(turn), np.sin(turn)], 1)
    else:
        reach = np.where(np.arange(10) % 2, rng.uniform(0.4, 0.6), 1.0)
        turn = np.arange(10) * np.pi / 5
        points = np.stack([np.cos(turn) * reach, np.sin(turn) * reach], 1)
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    radius = size * rng.uniform(0.07, 0.28)
    centre = rng.uniform(0.1 * size, 0.9 * size, 2)
    return np.asarray(points * radius @ rotation + centre, np.float64)


def _fill(points: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], [1])
    return mask.astype(bool)


def _hides_too_much(mask: npt.NDArray[np.bool_], others: list[npt.NDArray[np.bool_]]) -> bool:
    return any(
        (mask & other).sum() > _MAX_OVERLAP * min(mask.sum(), other.sum()) for other in others
    )


def _paint(
    rng: np.random.Generator,
    canvas: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    background: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """Put a textured object on the canvas, half of the time with a soft shadow."""
    size = canvas.shape[0]
    texture, _ = _texture(rng, size)
    colour = texture.mean((0, 1))
    if np.abs(colour - background).max() < 45:
        texture += (1 if colour.mean() < 128 else -1) * rng.uniform(50, 90)
    solid = mask.astype(np.float32)
    if rng.random() < 0.5:
        offset = tuple(int(v) for v in rng.integers(2, 7, 2))
        shadow = cv2.GaussianBlur(np.roll(solid, offset, (0, 1)), (0, 0), 3)
        canvas = canvas * (1 - 0.35 * shadow)[..., None]
    alpha = cv2.GaussianBlur(solid, (0, 0), 0.7)[..., None]
    return np.asarray(canvas * (1 - alpha) + texture * alpha, np.float32)
