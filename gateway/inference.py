"""The port to the model server, in the product's words.

Use cases know this file alone. `triton_client.py` implements it over gRPC;
`inference_fake.py` implements it in memory for tests and for work on the HTTP side.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

SEGMENTATION_MODEL = "fastsam"
GENERATION_MODEL = "qwen_image"
EDIT_MODEL = "qwen_image_edit"
PREFILL_MODEL = "lama"
TEXT_PROMPT_MODELS = ("clip_text", "clip_image")
"""What text prompts for masks need; a repository may lack them."""
PIPELINE_MODELS = (GENERATION_MODEL, EDIT_MODEL)


@dataclass(frozen=True)
class ServedNetwork:
    """A network for pictures that is served."""

    version: str
    """Another network has another one."""
    size: int
    """Longer side of the pictures that it is made for, in pixels."""


@dataclass(frozen=True)
class SegmentationOutput:
    """What the segmentation network says of one framed picture."""

    detections: npt.NDArray[np.float32]
    """(K, 37): cx, cy, w, h in pixels of the frame, score 0..1, 32 coefficients; best first."""
    prototypes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    """(32, h, w) mask bases, as bytes or, from a server on this host, finer."""
    levels: npt.NDArray[np.float32]
    """(32, 2): a mask base is levels[:, 0] times what stands there plus levels[:, 1]."""
    version: str
    """Of the network that answered."""


@dataclass(frozen=True)
class SavedState:
    """A picture midway: what the model server needs to go on from there."""

    step: int
    """Steps that are done, from 1."""
    latents: npt.NDArray[np.float32]
    """(S, C) after that step."""
    of: str
    """Of which checkpoint; another one begins at the beginning."""


@dataclass(frozen=True, kw_only=True)
class PictureRequest:
    """One picture to paint; names as in diffusers."""

    model: str
    prompt: str
    negative_prompt: str = ""
    width: int
    height: int
    num_inference_steps: int
    true_cfg_scale: float
    seed: int
    strength: float = 1.0
    preview_every: int = 0
    adapters: Mapping[str, float] = field(default_factory=dict)
    """Scales of LoRA adapters by name; empty for the base model."""
    images: tuple[npt.NDArray[np.uint8], ...] = ()
    """Condition images, RGB (H, W, 3), in the order the checkpoint expects."""
    mask: npt.NDArray[np.uint8] | None = None
    """(height, width), 255 = repaint; for inpainting, with `images[0]` of the same size."""
    is_batch: bool = False
    """Whether those who wait for their picture go first."""
    exact: bool = False
    """Whether the picture must not depend on what the model server does besides."""
    deadline_s: float | None = None
    """Seconds after which nobody wants the picture any more."""
    save_every: int = 0
    """Steps between two states that are handed out; 0 for none."""
    saved: SavedState | None = None
    """Where to go on; None: at the beginning."""


@dataclass(frozen=True)
class StepDone:
    """A denoising step is done."""

    step: int
    total_steps: int
    preview: npt.NDArray[np.uint8] | None = None
    """Small RGB picture of the state, when one was due."""
    state: SavedState | None = None
    """To go on from, when one was due."""


@dataclass(frozen=True)
class PictureDone:
    """The picture, RGB (height, width, 3), and the seconds it took in the model server."""

    image: npt.NDArray[np.uint8]
    total_s: float
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By part (transformer, ...): `seconds`, `calls`, and `cached`, the answers known already."""


PaintEvent = StepDone | PictureDone


@dataclass(frozen=True)
class ModelHealth:
    """How a model answered its last canary."""

    name: str
    ready: bool
    detail: str = ""
    slow: bool = False
    """No answer in time: at work on something long, or hanging; not known to be dead."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """What the export says of the model: defaults, whether it is a demo, its source."""


class InferenceBackend(Protocol):
    """A model server. Every method raises `errors.InferenceError` or a subclass."""

    def segment(self, frame: npt.NDArray[np.uint8]) -> SegmentationOutput:
        """Run the segmentation network on a framed RGB picture; blocks, so call it in a thread."""
        ...

    def known_segmentation_network(self) -> ServedNetwork | None:
        """The network by what it last said of itself, at once; None before it said anything."""
        ...

    def segmentation_network(self) -> ServedNetwork:
        """The network that is served; blocks."""
        ...

    def embed_text(self, text: str) -> npt.NDArray[np.float32]:
        """A text as a unit vector (D,); blocks."""
        ...

    def embedding_network(self) -> ServedNetwork:
        """The network behind `embed_pictures`; its size is the squares' side. Blocks."""
        ...

    def embed_pictures(self, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """RGB squares (N, S, S, 3) as unit vectors (N, D); blocks."""
        ...

    def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        """Paint a picture: `StepDone` for each step, then `PictureDone`.

        Closing the iterator cancels the work in the model server.
        """
        ...

    async def fill(
        self, image: npt.NDArray[np.uint8], hole: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """Guess what is in the hole, (H, W) with 255 in it, of a picture (H, W, 3).

        Raises `ModelUnavailableError` where the repository has no model for it.
        """
        ...

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:
        """Send the model its canary; a failure is an answer, not an exception."""
        ...

    async def model_names(self) -> list[str]:
        """Every model of the repository that the product uses, pipelines and stages."""
        ...

    async def load(self, model: str) -> None:
        """Load a model, or load it again when it was unloaded."""
        ...

    async def unload(self, model: str) -> None:
        """Unload a model."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
