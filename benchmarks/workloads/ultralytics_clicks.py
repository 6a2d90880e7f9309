"""Clicks by ultralytics' own FastSAM predictor, in process, as its documentation does them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from ultralytics import FastSAM  # noqa: E402

from export_scripts.demo import SEGMENTER  # noqa: E402
from export_scripts.demo_checkpoint import network_of  # noqa: E402
from export_scripts.demo_segmenter import SERVED_SIZE, save  # noqa: E402


def save_demo_weights(folder: Path) -> Path:
    """The demo segmenter as a checkpoint that ultralytics loads."""
    save(network_of(SEGMENTER), folder / "demo.pt", SERVED_SIZE)
    return folder / "demo.pt"


def click_with_ultralytics(
    weights: Path, pictures: Sequence[bytes], click: tuple[int, int]
) -> list[float]:
    """Seconds of each click: decode, network, prompt, mask at the picture's size as PNG."""
    model = _model(weights)
    latencies = []
    for data in pictures:
        started = time.perf_counter()
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        (result,) = model.predict(
            pixels,
            imgsz=SERVED_SIZE,
            points=[list(click)],
            labels=[1],
            retina_masks=True,
            device="cpu",
            verbose=False,
        )
        mask = result.masks.data[0].numpy().astype(np.uint8) * 255
        cv2.imencode(".png", mask)
        latencies.append(time.perf_counter() - started)
    return latencies


@lru_cache
def _model(weights: Path) -> Any:
    torch.set_num_threads(os.cpu_count() or 1)
    return FastSAM(str(weights))
