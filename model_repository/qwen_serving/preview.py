"""Small previews of an unfinished picture, without the VAE."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


class LatentPreview:
    """Projects the clean estimate of latents to RGB, a pixel for a latent.

    The projection is linear, fitted by `retouch-export` on pictures the VAE encoded.
    """

    def __init__(
        self, weights: list[list[float]], latent_hw: tuple[int, int], *, packed: bool = True
    ) -> None:
        """`weights` has a row of 3 per latent channel and a last row of offsets."""
        matrix = torch.tensor(weights, dtype=torch.float32)
        self._weights, self._offset = matrix[:-1], matrix[-1]
        self._latent_hw = latent_hw
        self._packed = packed
        self._previous: torch.Tensor | None = None

    def observe(self, latents: torch.Tensor, sigma: float, next_sigma: float) -> torch.Tensor:
        """Clean estimate after the Euler step from `sigma` to `next_sigma`, (1, S, C).

        The step was x' = x + (s' - s) v, so v = (x' - x) / (s' - s) and x0 = x' - s' v.
        """
        previous, self._previous = self._previous, latents.detach().clone()
        if previous is None or next_sigma == sigma:
            return latents
        velocity = (latents - previous) / (next_sigma - sigma)
        return latents - next_sigma * velocity

    def paint(self, packed: torch.Tensor) -> npt.NDArray[np.uint8]:
        """RGB (h, w, 3) of packed latents (1, h/2 * w/2, 4 * z), or of (1, h * w, z)."""
        h, w = self._latent_hw
        channels_last = packed[0].cpu().float()
        if self._packed:
            channels_last = channels_last.reshape(h // 2, w // 2, -1, 2, 2).permute(0, 3, 1, 4, 2)
        channels_last = channels_last.reshape(h, w, -1)
        rgb = channels_last @ self._weights + self._offset
        return ((rgb.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
