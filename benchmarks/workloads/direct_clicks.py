"""Clicks without the gateway: Triton's own gRPC client, and the same image work around it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton

from benchmarks.workloads.clicks import TIMEOUT_S, ClickRun
from preprocessing.arrays import Mask
from preprocessing.codec import decode_image, encode_mask_png
from preprocessing.fastsam import Instances, decode_detections, instance_mask, refined
from preprocessing.letterbox import letterbox, plan_letterbox
from preprocessing.prompts import Prompt, rank

_MODEL = "fastsam"
_OUTPUTS = ("DETECTIONS", "PROTOTYPES", "PROTOTYPES_FINE", "PROTOTYPE_LEVELS", "IMAGE_SIZE")


def run_direct(
    url: str, pictures: Sequence[bytes], click: tuple[int, int], concurrency: int
) -> ClickRun:
    """Click once on each picture, from `concurrency` threads of this process."""

    def timed(picture: bytes) -> tuple[float, bytes]:
        started = time.perf_counter()
        png = encode_mask_png(_mask_at(url, picture, click))
        return time.perf_counter() - started, png

    _segmentation_size(url)
    with ThreadPoolExecutor(concurrency) as executor:
        started, processor = time.perf_counter(), time.process_time()
        answers = list(executor.map(timed, pictures))
        wall, processor = time.perf_counter() - started, time.process_time() - processor
    masks = [hashlib.sha256(png).hexdigest() for _, png in answers]
    return ClickRun([seconds for seconds, _ in answers], wall, processor, masks)


def find_click(url: str, picture: bytes) -> tuple[int, int]:
    """The pixel deepest inside the best instance of a picture: there, a click finds something.

    Raises:
        RuntimeError: the network sees nothing in the picture.
    """
    instances = _instances(url, picture)
    if not len(instances):
        raise RuntimeError("the network sees nothing in this picture; choose another one")
    depth = cv2.distanceTransform(instance_mask(instances, 0).astype(np.uint8), cv2.DIST_L2, 3)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def _mask_at(url: str, picture: bytes, click: tuple[int, int]) -> Mask:
    instances = _instances(url, picture)
    best = rank(instances, Prompt(points=(click,), labels=(1,)))[0]
    return instance_mask(instances, best.index)


def _instances(url: str, picture: bytes) -> Instances:
    pixels = decode_image(picture).pixels
    plan = plan_letterbox((pixels.shape[1], pixels.shape[0]), _segmentation_size(url), stride=32)
    answer = _infer(url, letterbox(pixels, plan))
    detections, coarse, fine, levels = (answer.as_numpy(name)[0] for name in _OUTPUTS[:4])
    prototypes, levels = refined(coarse, fine, levels)
    return decode_detections(detections, prototypes, plan, levels=levels)


@lru_cache
def _client(url: str) -> Any:
    return triton.InferenceServerClient(url)


@lru_cache
def _segmentation_size(url: str) -> int:
    answer = _infer(url, np.full((160, 160, 3), 114, np.uint8))
    return int(answer.as_numpy("IMAGE_SIZE")[0, 0])


def _infer(url: str, square: npt.NDArray[np.uint8]) -> Any:
    tensor = triton.InferInput("IMAGES", [1, *square.shape], "UINT8")
    tensor.set_data_from_numpy(square[None])
    outputs = [triton.InferRequestedOutput(name) for name in _OUTPUTS]
    return _client(url).infer(_MODEL, [tensor], outputs=outputs, client_timeout=TIMEOUT_S)
