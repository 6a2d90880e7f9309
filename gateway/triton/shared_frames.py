"""Frames to a Triton on this host, and what FastSAM answers, through shared memory.

Prototypes come with two bytes each: here the second one costs next to nothing. All of it skips
protobuf and the loopback on both ways. Each request has a slot of regions to itself; a slot whose
request failed is given up, since Triton may still write to it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shared_memory
from tritonclient.utils import InferenceServerException
from tritonclient.utils.shared_memory import SharedMemoryException

from preprocessing.fastsam import refined

logger = logging.getLogger(__name__)
_NUMBERS = itertools.count()
_BY_GRPC = ("PROTOTYPE_LEVELS", "IMAGE_SIZE")  # a few bytes
_CHANNELS, _STRIDE, _ROWS, _VALUES = 32, 4, 300, 37


class SharedMemoryUnusableError(Exception):
    """Regions cannot be made, or Triton cannot reach them."""


@dataclass(frozen=True)
class SharedAnswer:
    """FastSAM's answer to one frame; the large outputs are copies."""

    result: Any
    detections: npt.NDArray[np.float32]
    prototypes: npt.NDArray[np.uint16]
    levels: npt.NDArray[np.float32]


@dataclass
class _Slot:
    """Regions by tensor, registered with Triton; made for frames up to a size."""

    frame_bytes: int
    prefix: str = field(default_factory=lambda: f"retouch_{os.getpid()}_{next(_NUMBERS)}")
    regions: dict[str, Any] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """Bytes by tensor."""
        return {
            "IMAGES": self.frame_bytes,
            "PROTOTYPES": self.frame_bytes // 3 // _STRIDE**2 * _CHANNELS,
            "PROTOTYPES_FINE": self.frame_bytes // 3 // _STRIDE**2 * _CHANNELS,
            "DETECTIONS": _ROWS * _VALUES * 4,
        }

    def name(self, tensor: str) -> str:
        """Of the region, for Triton and for the system."""
        return f"{self.prefix}_{tensor.lower()}"


class SharedFrames:
    """Asks `model` for one frame at a time, from as many threads as there are slots."""

    def __init__(self, client: Any, model: str, *, slots: int) -> None:
        self._client = client
        self._model = model
        self._slots: queue.LifoQueue[_Slot | None] = queue.LifoQueue()
        for _ in range(slots):
            self._slots.put(None)

    def infer(
        self,
        frame: npt.NDArray[np.uint8],
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> SharedAnswer:
        """Run the network on a frame (H, W, 3).

        Raises:
            SharedMemoryUnusableError: use gRPC instead.
            InferenceServerException: as the client's `infer`.
        """
        slot = self._slots.get()
        kept: _Slot | None = None
        try:
            if slot is None or slot.frame_bytes < frame.nbytes:
                self._give_up(slot)
                slot = None  # not twice, when no new one can be made
                slot = self._make(frame.nbytes)
            answer = self._infer(slot, frame, client_timeout=timeout_s, headers=headers)
            kept = slot
            return answer
        except InferenceServerException as error:
            if "shared memory" in str(error).lower():
                raise SharedMemoryUnusableError(str(error)) from error
            raise
        finally:
            if kept is None:
                self._give_up(slot)
            self._slots.put(kept)

    def close(self) -> None:
        """Give all regions back."""
        for _ in range(self._slots.qsize()):
            self._give_up(self._slots.get())
            self._slots.put(None)

    def _make(self, frame_bytes: int) -> _Slot:
        slot = _Slot(frame_bytes)
        try:
            for tensor, size in slot.sizes().items():
                name = slot.name(tensor)
                slot.regions[tensor] = shared_memory.create_shared_memory_region(
                    name, f"/{name}", size, create_only=True
                )
                self._client.register_system_shared_memory(name, f"/{name}", size)
        except (OSError, SharedMemoryException, InferenceServerException) as error:
            self._give_up(slot)
            raise SharedMemoryUnusableError(str(error)) from error
        return slot

    def _infer(self, slot: _Slot, frame: npt.NDArray[np.uint8], **call: Any) -> SharedAnswer:
        height, width = frame.shape[:2]
        shapes = {
            "DETECTIONS": (_ROWS, _VALUES),
            "PROTOTYPES": (_CHANNELS, height // _STRIDE, width // _STRIDE),
            "PROTOTYPES_FINE": (_CHANNELS, height // _STRIDE, width // _STRIDE),
        }
        shared_memory.set_shared_memory_region(slot.regions["IMAGES"], [frame])
        images = triton.InferInput("IMAGES", [1, *frame.shape], "UINT8")
        images.set_shared_memory(slot.name("IMAGES"), frame.nbytes)
        outputs = [triton.InferRequestedOutput(tensor) for tensor in _BY_GRPC]
        for tensor in shapes:
            output = triton.InferRequestedOutput(tensor)
            output.set_shared_memory(slot.name(tensor), slot.sizes()[tensor])
            outputs.append(output)
        result = self._client.infer(self._model, [images], outputs=outputs, **call)
        kinds = (np.float32, np.uint8, np.uint8)
        detections, coarse, fine = (
            shared_memory.get_contents_as_numpy(slot.regions[tensor], kind, list(shape))
            for (tensor, shape), kind in zip(shapes.items(), kinds, strict=True)
        )
        prototypes, levels = refined(coarse, fine, result.as_numpy("PROTOTYPE_LEVELS")[0])
        return SharedAnswer(result, detections.copy(), prototypes, levels)

    def _give_up(self, slot: _Slot | None) -> None:
        """Unlink the regions; one that Triton still writes to lives until it is done."""
        if slot is None:
            return
        for tensor, region in slot.regions.items():
            with contextlib.suppress(InferenceServerException):
                self._client.unregister_system_shared_memory(slot.name(tensor))
            with contextlib.suppress(SharedMemoryException, OSError):
                shared_memory.destroy_shared_memory_region(region)
        slot.regions.clear()
