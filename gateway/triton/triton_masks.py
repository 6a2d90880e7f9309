"""The mask models over Triton's gRPC: FastSAM, and CLIP's halves for text prompts.

The blocking client works in the caller's thread, so that a network and what is done with its
answer need no hop between threads.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from gateway.inference import SEGMENTATION_MODEL, SegmentationOutput, ServedNetwork
from gateway.observability.tracing import trace_headers
from gateway.triton import triton_canaries
from gateway.triton.shared_frames import SharedFrames, SharedMemoryUnusableError
from gateway.triton.triton_errors import translated

logger = logging.getLogger(__name__)

TEXT_MODEL, PICTURE_MODEL = "clip_text", "clip_image"
_SEGMENTATION_OUTPUTS = ("DETECTIONS", "PROTOTYPES", "PROTOTYPE_LEVELS", "IMAGE_SIZE")
_MAX_ROWS = 16  # max_batch_size of CLIP's halves


class TritonMaskModels:
    """Asks the models that make masks; safe in any thread."""

    def __init__(self, client: Any, *, timeout_s: float, shared_slots: int = 0) -> None:
        """`shared_slots` frames at once go through shared memory; 0 for a Triton elsewhere."""
        self._client = client
        self._timeout_s = timeout_s
        self._shared = (
            SharedFrames(client, SEGMENTATION_MODEL, slots=shared_slots) if shared_slots else None
        )
        self.known_network: ServedNetwork | None = None

    def segment(self, frame: npt.NDArray[np.uint8]) -> SegmentationOutput:
        """Run FastSAM on one frame."""
        if self._shared is not None:
            try:
                return self._segment_shared(self._shared, frame)
            except SharedMemoryUnusableError as error:
                logger.info("by gRPC: %s", error, extra={"event": "shared_memory_unusable"})
        result = self._infer(SEGMENTATION_MODEL, {"IMAGES": frame[None]}, _SEGMENTATION_OUTPUTS)
        self.learn(result)
        return SegmentationOutput(
            detections=result.as_numpy("DETECTIONS")[0],
            prototypes=result.as_numpy("PROTOTYPES")[0],
            levels=result.as_numpy("PROTOTYPE_LEVELS")[0],
            version=result.get_response().model_version,
        )

    def _segment_shared(
        self, shared: SharedFrames, frame: npt.NDArray[np.uint8]
    ) -> SegmentationOutput:
        with translated(SEGMENTATION_MODEL):
            answer = shared.infer(frame, timeout_s=self._timeout_s, headers=trace_headers())
        self.learn(answer.result)
        return SegmentationOutput(
            detections=answer.detections,
            prototypes=answer.prototypes,
            levels=answer.levels,
            version=answer.result.get_response().model_version,
        )

    def network(self) -> ServedNetwork:
        """By FastSAM's answer to its canary."""
        canary = triton_canaries.segmentation_canary()
        return self.learn(self._infer(SEGMENTATION_MODEL, canary))

    def learn(self, result: Any) -> ServedNetwork:
        """What an answer of FastSAM says of the network, blocking client's or not."""
        network = ServedNetwork(
            version=result.get_response().model_version,
            size=int(result.as_numpy("IMAGE_SIZE")[0, 0]),
        )
        self.known_network = network
        return network

    def embed_text(self, text: str) -> npt.NDArray[np.float32]:
        """One text through CLIP."""
        result = self._infer(TEXT_MODEL, {"TEXT": np.array([[text.encode()]], object)})
        return np.asarray(result.as_numpy("EMBEDDING")[0], np.float32)

    def embedding_network(self) -> ServedNetwork:
        """CLIP's image half, by its metadata."""
        with translated(PICTURE_MODEL):
            metadata = self._client.get_model_metadata(
                PICTURE_MODEL, client_timeout=self._timeout_s
            )
        return ServedNetwork(",".join(metadata.versions), int(metadata.inputs[0].shape[1]))

    def embed_pictures(self, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Squares through CLIP, in as many requests as its batch size wants."""
        parts = [
            self._infer(PICTURE_MODEL, {"IMAGES": squares[start : start + _MAX_ROWS]})
            for start in range(0, len(squares), _MAX_ROWS)
        ]
        return np.concatenate([part.as_numpy("EMBEDDING") for part in parts])

    def close(self) -> None:
        """Give shared memory back and close the channel."""
        if self._shared is not None:
            self._shared.close()
        self._client.close()

    def _infer(
        self, model: str, inputs: triton_canaries.Inputs, outputs: Sequence[str] = ()
    ) -> Any:
        """`outputs`: all when left out."""
        with translated(model):
            return self._client.infer(
                model,
                tensors_of(inputs),
                outputs=[triton.InferRequestedOutput(name) for name in outputs] or None,
                client_timeout=self._timeout_s,
                headers=trace_headers(),
            )


def tensors_of(inputs: triton_canaries.Inputs) -> list[Any]:
    """Arrays by name as the client sends them."""
    tensors = []
    for name, value in inputs.items():
        tensor = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
        tensor.set_data_from_numpy(value)
        tensors.append(tensor)
    return tensors
