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
    TEXT_PROMPT_MODELS,
    ModelHealth,
    PaintEvent,
    PictureDone,
    PictureRequest,
    SavedState,
    SegmentationOutput,
    ServedNetwork,
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
    segmentation_version: str = "1"
    texts: list[str] = field(default_factory=list)
    embedded: int = 0
    """Squares that were embedded."""
    has_text_prompts: bool = False
    painting: int = 0
    """Paintings that are under way."""
    loaded: set[str] = field(
        default_factory=lambda: {SEGMENTATION_MODEL, *PIPELINE_MODELS, *TEXT_PROMPT_MODELS}
    )

    def known_segmentation_network(self) -> ServedNetwork | None:
        """A small one."""
        return ServedNetwork(self.segmentation_version, 64)

    def segmentation_network(self) -> ServedNetwork:
        """The same."""
        return ServedNetwork(self.segmentation_version, 64)

    def segment(self, frame: npt.NDArray[np.uint8]) -> SegmentationOutput:
        """A disc of a quarter of the frame's shorter side, in its middle."""
        if self.failure:
            raise self.failure
        self.segmentations += 1
        height, width = frame.shape[:2]
        radius = min(height, width) / 4
        y, x = np.mgrid[: height // 4, : width // 4] * 4 + 1.5
        disc = radius - np.hypot(x - width / 2 + 0.5, y - height / 2 + 0.5)
        prototypes = np.zeros((32, height // 4, width // 4), np.uint8)
        prototypes[0] = np.clip(disc + 128, 0, 255)
        detections = np.zeros((1, 37), np.float32)
        side = 2 * radius + 2
        detections[0, :6] = width / 2, height / 2, side, side, 0.9, 1
        levels = np.tile(np.array([1, -128], np.float32), (32, 1))
        return SegmentationOutput(detections, prototypes, levels, self.segmentation_version)

    def embed_text(self, text: str) -> npt.NDArray[np.float32]:
        """A unit vector that depends on the text's length."""
        self.texts.append(text)
        return np.asarray(np.eye(8)[len(text) % 8], np.float32)

    def embedding_network(self) -> ServedNetwork:
        """Of small squares."""
        return ServedNetwork("1", 32)

    def embed_pictures(self, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """A unit vector that depends on how bright the square is."""
        self.embedded += len(squares)
        return np.asarray(np.eye(8)[squares.mean((1, 2, 3)).astype(int) // 32], np.float32)

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        """Steps, then a picture of one colour."""
        self.painted.append(request)
        self.painting += 1
        try:
            done = request.saved.step if request.saved else 0
            for step in range(done + 1, request.num_inference_steps + 1):
                await asyncio.sleep(self.step_s)
                if self.failure:
                    raise self.failure
                due = request.preview_every and step % request.preview_every == 0
                preview = np.zeros((8, 8, 3), np.uint8) if due else None
                state = None
                if request.save_every and step % request.save_every == 0:
                    state = SavedState(step, np.full((4, 2), step, np.float32), "in memory")
                yield StepDone(step, request.num_inference_steps, preview, state)
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
        """The three models of the product, and those for text prompts when it has them."""
        texts = TEXT_PROMPT_MODELS if self.has_text_prompts else ()
        return [SEGMENTATION_MODEL, *PIPELINE_MODELS, *texts]

    async def load(self, model: str) -> None:
        """Mark as loaded."""
        self.loaded.add(model)

    async def unload(self, model: str) -> None:
        """Mark as not loaded."""
        self.loaded.discard(model)

    async def close(self) -> None:
        """Nothing to let go of."""
