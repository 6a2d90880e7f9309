"""A model server in memory that speaks the port: for tests and for work without Triton."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gateway.errors import ModelUnavailableError, RetouchError
from gateway.inference import (
    PIPELINE_MODELS,
    PREFILL_MODEL,
    SEGMENTATION_MODEL,
    ModelHealth,
    PaintEvent,
    PictureDone,
    PictureRequest,
    SegmentationOutput,
    StepDone,
)

_MANIFEST = {
    "demo": True,
    "source": "in memory",
    "default_size": [64, 64],
    "default_num_inference_steps": 4,
    "default_true_cfg_scale": 1.0,
}


@dataclass
class FakeBackend:
    """Finds one disc in the middle of every picture and paints the seed as a colour."""

    step_s: float = 0.0
    """Seconds a step takes."""
    failure: RetouchError | None = None
    """Raised by every call when set."""
    adapters: tuple[str, ...] = ()
    """LoRA adapters that its pipelines have."""
    fills: bool = False
    """Whether it has a prefill model; that one fills with grey 99."""
    painted: list[PictureRequest] = field(default_factory=list)
    segmentations: int = 0
    painting: int = 0
    """Paintings that are under way."""
    loaded: set[str] = field(default_factory=lambda: {SEGMENTATION_MODEL, *PIPELINE_MODELS})

    def segmentation_size(self) -> int:
        """A small square."""
        return 64

    def segment(self, square: npt.NDArray[np.uint8]) -> SegmentationOutput:  # noqa: ARG002
        """A disc of radius 16 at the centre of the 64 x 64 square."""
        if self.failure:
            raise self.failure
        self.segmentations += 1
        y, x = np.mgrid[:16, :16]
        disc = 16.0 - 4 * np.hypot(x - 7.5, y - 7.5)
        prototypes = np.zeros((32, 16, 16), np.float32)
        prototypes[0] = disc
        detections = np.zeros((1, 37), np.float32)
        detections[0, :6] = 32, 32, 34, 34, 0.9, 1
        return SegmentationOutput(detections, prototypes)

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        """Steps, then a picture of one colour."""
        self.painted.append(request)
        self.painting += 1
        try:
            for step in range(1, request.num_inference_steps + 1):
                await asyncio.sleep(self.step_s)
                if self.failure:
                    raise self.failure
                due = request.preview_every and step % request.preview_every == 0
                preview = np.zeros((8, 8, 3), np.uint8) if due else None
                yield StepDone(step, request.num_inference_steps, preview)
            colour = request.seed % 256
            image = np.full((request.height, request.width, 3), colour, np.uint8)
            yield PictureDone(image, 0.0, self._stages(request))
        finally:
            self.painting -= 1

    async def fill(
        self, image: npt.NDArray[np.uint8], hole: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """Grey in the hole."""
        if not self.fills:
            raise ModelUnavailableError(f"The repository has no model {PREFILL_MODEL}.")
        return np.where(hole[..., None] > 0, np.uint8(99), image)

    def _stages(self, request: PictureRequest) -> dict[str, dict[str, float]]:
        """A prompt that was painted before is known."""
        known = [earlier.prompt for earlier in self.painted].count(request.prompt) > 1
        steps = request.num_inference_steps
        return {
            "text_encoder": {"seconds": 0.0, "calls": 1, "cached": int(known)},
            "transformer": {"seconds": steps * self.step_s, "calls": steps, "cached": 0},
        }

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:  # noqa: ARG002
        """Ready when loaded."""
        if model not in self.loaded:
            return ModelHealth(model, ready=False, detail=f"Model {model} is not loaded.")
        manifest = {**_MANIFEST, "adapters": list(self.adapters)}
        return ModelHealth(model, ready=True, manifest=manifest)

    async def model_names(self) -> list[str]:
        """The three models of the product."""
        return [SEGMENTATION_MODEL, *PIPELINE_MODELS]

    async def load(self, model: str) -> None:
        """Mark as loaded."""
        self.loaded.add(model)

    async def unload(self, model: str) -> None:
        """Mark as not loaded."""
        self.loaded.discard(model)

    async def close(self) -> None:
        """Nothing to let go of."""
