"""Where the tokens of a denoising step stand: the positions that rotate queries and keys.

As diffusers' QwenEmbedRope with `scale_rope`: rows and columns are counted from the middle of
each picture, pictures are told apart by the first axis, and the text comes after the largest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TABLE_START = -4096
"""The first position that the network has an angle for."""
TABLE_END = 4096
"""One past the last."""

Shapes = Sequence[tuple[int, int, int]]
"""Frames, height and width in latent patches, of the output and of each condition image."""


def image_positions(shapes: Shapes) -> npt.NDArray[np.int64]:
    """(n, 3) position on the axes frame, row and column of every patch, row by row.

    >>> image_positions([(1, 1, 3)]).tolist()
    [[0, -1, -2], [0, -1, -1], [0, -1, 0]]
    """
    parts = []
    for index, (frames, height, width) in enumerate(shapes):
        axes = (
            np.arange(index, index + frames),
            np.arange(height) - (height - height // 2),
            np.arange(width) - (width - width // 2),
        )
        grid = np.meshgrid(*axes, indexing="ij")
        parts.append(np.stack([axis.ravel() for axis in grid], axis=1))
    positions: npt.NDArray[np.int64] = np.concatenate(parts).astype(np.int64)
    return positions


def text_positions(shapes: Shapes, tokens: int) -> npt.NDArray[np.int64]:
    """(tokens,) positions of a text beside these pictures.

    Raises:
        ValueError: the network has no angle for the last token.
    """
    start = max(max(height // 2, width // 2) for _, height, width in shapes)
    if start + tokens > TABLE_END:
        raise ValueError(
            f"a text of {tokens} tokens beside pictures of {2 * start} latent patches a side is "
            f"longer than the {TABLE_END} positions of the network"
        )
    return np.arange(start, start + tokens, dtype=np.int64)


def condition_tokens(shapes: Shapes) -> npt.NDArray[np.bool_]:
    """(n,) True for the patches of condition images."""
    counts = [frames * height * width for frames, height, width in shapes]
    return np.repeat([index > 0 for index in range(len(counts))], counts)
