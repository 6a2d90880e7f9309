"""Use case: white balance as a colour transform of the photograph as it is stored.

Something proposes on a small copy: the classical estimate, a light that the caller names, or what a
model painted. A smooth transform is made from the proposal and applied to the original at its full
resolution, its own depth and in its own colour space.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from gateway.process.image_work import image_work
from gateway.rejections import rejections
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from preprocessing import compose, native_picture
from preprocessing.arrays import Image, Mask
from preprocessing.colour_lut import ColourLut, fit_lut, to_cube
from preprocessing.native_picture import Form, NativePicture, as_fractions, recoloured
from preprocessing.registration import estimate_motion
from preprocessing.white_balance import Gains, Light, estimate_gains, gains_for

PROXY_SIDE = 512
"""The light of a photograph shows in a small copy; averaging also keeps noise out of it."""
FIT_SIDE = 128
"""Smaller still for examples: what the model painted differs in detail, and must not count."""
ENCODING_THREADS = 2
"""Of one photograph; more would take the processors from other requests."""
UNRELATED = (
    "What the model painted does not show the photograph (correlation {:.2f}); the classical "
    "estimate was used instead."
)


@dataclass(frozen=True)
class Balanced:
    """A photograph with its colours corrected."""

    stored: StoredImage
    cube: StoredImage
    """The transform as a `.cube` file."""
    method: str
    """auto, light or model."""
    light: Light | None
    """Under which the photograph was taken, estimated or as named; None for a model's proposal."""
    gains: Gains | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Proposal:
    lut: ColourLut
    method: str
    gains: Gains | None = None
    light: Light | None = None
    warnings: tuple[str, ...] = ()


class WhiteBalancer:
    """Balances stored photographs."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    async def by_light(
        self, image_id: str, light: Light | None, *, form: Form | None = None
    ) -> Balanced:
        """Correct for a light; estimate it where none is named.

        Args:
            image_id: a stored picture.
            light: what it was taken under.
            form: of the result; jpeg for a JPEG and png for everything else when left out.

        Raises:
            NotFoundError: no such picture.
        """
        original = await self._native(image_id)
        proposal = await image_work(_by_light, original, light)
        return await self._deliver(original, proposal, form)

    async def by_example(self, image_id: str, painted: Image) -> Balanced:
        """Take the colours, and the colours alone, of what a model painted.

        Raises:
            NotFoundError: no such picture.
        """
        original = await self._native(image_id)
        proposal = await image_work(_by_example, original, painted)
        return await self._deliver(original, proposal, None)

    async def _native(self, image_id: str) -> NativePicture:
        data = await self._pictures.store.content(image_id)
        return await image_work(self._decode, data)

    def _decode(self, data: bytes) -> NativePicture:
        with rejections("/image"):
            return native_picture.decode_native(data, self._pictures.limits)

    async def _deliver(
        self, original: NativePicture, proposal: _Proposal, form: Form | None
    ) -> Balanced:
        form = form or ("jpeg" if original.header.format == "jpeg" else "png")
        data = await image_work(recoloured, original, proposal.lut, form, threads=ENCODING_THREADS)
        height, width = original.pixels.shape[:2]
        store = self._pictures.store
        stored = await store.put(data, width=width, height=height, format=form)
        text = to_cube(proposal.lut, f"Retouch white balance, {proposal.method}").encode()
        side = proposal.lut.side
        cube = await store.put(text, width=side * side, height=side, format="cube")
        return Balanced(
            stored=stored,
            cube=cube,
            method=proposal.method,
            light=proposal.light,
            gains=proposal.gains,
            warnings=original.warnings + proposal.warnings,
        )


def _by_light(original: NativePicture, light: Light | None) -> _Proposal:
    if light is not None:
        gains = gains_for(light)
        return _Proposal(gains.lut(), "light", gains, light)
    small = native_picture.proxy(original, PROXY_SIDE)
    gains = estimate_gains(as_fractions(small.pixels))
    return _Proposal(gains.lut(), "auto", gains, gains.light)


def _by_example(original: NativePicture, painted: Image) -> _Proposal:
    height, width = painted.shape[:2]
    everywhere: Mask = np.ones((height, width), np.bool_)
    seen = _shrunk(original, (width, height))
    motion = estimate_motion(native_picture.to_srgb_pixels(seen), painted, everywhere)
    if not motion.is_trusted:
        classical = _by_light(original, None)
        warnings = (UNRELATED.format(motion.correlation),)
        return _Proposal(classical.lut, "auto", classical.gains, classical.light, warnings)
    example = native_picture.from_srgb_pixels(motion.undo(painted), original.profile)
    scale = FIT_SIDE / max(width, height)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    source = as_fractions(_shrunk(original, size_wh).pixels)
    target = as_fractions(compose.resized(example, size_wh))
    return _Proposal(fit_lut(source, target), "model")


def _shrunk(original: NativePicture, size_wh: tuple[int, int]) -> NativePicture:
    pixels = cv2.resize(original.pixels, size_wh, interpolation=cv2.INTER_AREA)
    return NativePicture(pixels, None, original.profile, original.header)  # type: ignore[arg-type]
