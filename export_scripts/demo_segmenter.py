"""Train the demo segmenter: FastSAM's architecture at 0.71 M parameters, on synthetic scenes.

    python -m export_scripts.demo_segmenter --output demo.pt --onnx demo.onnx

The network is YOLOv8-seg with one class, as FastSAM is, at an eighth of the width, so
everything that serves it serves a real FastSAM checkpoint too. Two phases: most steps at
256 px with masks at a quarter of that, the last ones at 320 px (the served size) with masks
at half. Needs the `export` extra (ultralytics, AGPL-3.0).
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
import torch  # noqa: E402
from ultralytics.nn.tasks import SegmentationModel, yaml_model_load  # noqa: E402
from ultralytics.utils import DEFAULT_CFG  # noqa: E402

from export_scripts.demo_scenes import draw_scene  # noqa: E402
from export_scripts.fastsam_graph import export_onnx, load_network  # noqa: E402

SERVED_SIZE = 320
WIDTH_MULTIPLE = 0.125
"""YOLOv8n has 0.25; half of that is what a CPU trains in minutes."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one picture size."""

    size: int
    mask_stride: int
    scenes: int
    steps: int
    peak_learning_rate: float


def phases(steps: int) -> tuple[Phase, Phase]:
    """Three quarters of the steps small and coarse, the rest at the served size."""
    fine = steps // 4
    return Phase(256, 4, 3000, steps - fine, 4e-3), Phase(SERVED_SIZE, 2, 2000, fine, 1e-3)


def build_network() -> SegmentationModel:
    """The untrained network: one class, 32 prototypes, strides 8, 16 and 32."""
    config = yaml_model_load("yolov8n-seg.yaml")
    config.update(nc=1, scales={"n": [0.33, WIDTH_MULTIPLE, 512]}, scale="n")
    network = SegmentationModel(config, nc=1, verbose=False)
    network.names = {0: "object"}
    network.task = "segment"
    network.args = copy.deepcopy(DEFAULT_CFG)
    network.args.overlap_mask = True
    return network


def train(steps: int, output: Path, *, batch_size: int = 16, seed: int = 0) -> SegmentationModel:
    """Train from scratch and save the averaged weights as an ultralytics checkpoint.

    Args:
        steps: optimiser steps over both phases; 3000 gave the committed weights.
        output: the `.pt` file, rewritten every 250 steps.
        batch_size: scenes per step.
        seed: of weights, order and augmentation.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = build_network().to(memory_format=torch.channels_last).train()
    averaged = copy.deepcopy(network).eval()
    criterion = network.init_criterion()
    done, started = 0, time.monotonic()
    for phase in phases(steps):
        optimizer, schedule = _optimizer(network, phase)
        for batch in _batches(rng, phase, batch_size):
            loss, parts = criterion(network(batch["img"]), batch)
            optimizer.zero_grad()
            loss.sum().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
            schedule.step()
            _average(averaged, network, decay=0.998 * (1 - math.exp(-done / 200)))
            done += 1
            if done % 50 == 0:
                shown = {name: round(float(value), 3) for name, value in parts.items()}
                print(f"{done}/{steps} {time.monotonic() - started:.0f} s {shown}", flush=True)
            if done % 250 == 0:
                save(averaged, output, phase.size)
    save(averaged, output, SERVED_SIZE)
    return averaged


def save(network: SegmentationModel, output: Path, size: int) -> None:
    """Write a checkpoint that `ultralytics.FastSAM(path)` loads."""
    arguments = {"task": "segment", "imgsz": size}
    torch.save({"model": copy.deepcopy(network).half(), "train_args": arguments}, output)


def _optimizer(network: SegmentationModel, phase: Phase) -> tuple[Any, Any]:
    weights = [p for p in network.parameters() if p.ndim > 1]
    offsets = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": offsets, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=phase.peak_learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        phase.peak_learning_rate,
        total_steps=phase.steps,
        pct_start=0.1,
        div_factor=20,
        final_div_factor=50,
    )
    return optimizer, schedule


def _average(averaged: torch.nn.Module, network: torch.nn.Module, *, decay: float) -> None:
    """Exponential moving average of weights and batch statistics, in place."""
    with torch.no_grad():
        pairs = zip(averaged.state_dict().values(), network.state_dict().values(), strict=True)
        for kept, fresh in pairs:
            if kept.dtype.is_floating_point:
                kept.mul_(decay).add_(fresh, alpha=1 - decay)
            else:
                kept.copy_(fresh)


def _batches(
    rng: np.random.Generator, phase: Phase, batch_size: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Draw the scenes once, then yield shuffled, augmented batches in the loss's format."""
    images = np.zeros((phase.scenes, phase.size, phase.size, 3), np.uint8)
    labels = np.zeros((phase.scenes, phase.size, phase.size), np.uint8)
    for seed in range(phase.scenes):
        scene = draw_scene(seed + phase.size * 1000, phase.size)
        images[seed] = scene.image
        for index, mask in enumerate(scene.masks, start=1):
            labels[seed][mask] = index
    order: list[int] = []
    for _ in range(phase.steps):
        if len(order) < batch_size:
            order = list(rng.permutation(phase.scenes))
        chosen, order = order[:batch_size], order[batch_size:]
        yield _collate([_augment(rng, images[i], labels[i]) for i in chosen], phase.mask_stride)


def _augment(
    rng: np.random.Generator, image: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Dihedral turn, channel shuffle, inversion, contrast and brightness."""
    quarter_turns = int(rng.integers(4))
    image, labels = np.rot90(image, quarter_turns), np.rot90(labels, quarter_turns)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    pixels = image[..., rng.permutation(3)].astype(np.float32) / 255
    if rng.random() < 0.3:
        pixels = 1 - pixels
    pixels = (pixels - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + rng.uniform(-0.15, 0.15)
    return np.clip(pixels, 0, 1).astype(np.float32), labels


def _collate(
    samples: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]], mask_stride: int
) -> dict[str, torch.Tensor]:
    masks, boxes, owners = [], [], []
    for owner, (_, labels) in enumerate(samples):
        renumbered = np.zeros_like(labels)
        for label in range(1, int(labels.max()) + 1):
            y, x = np.nonzero(labels == label)
            if len(y) < 80:
                continue
            owners.append(owner)
            renumbered[labels == label] = owners.count(owner)
            left, right, top, bottom = x.min(), x.max() + 1, y.min(), y.max() + 1
            centre = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
            boxes.append(np.array(centre) / labels.shape[0])
        offset = mask_stride // 2
        masks.append(renumbered[offset::mask_stride, offset::mask_stride])
    images = torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image, _ in samples]))
    return {
        "img": images.contiguous(memory_format=torch.channels_last),
        "masks": torch.from_numpy(np.stack(masks)),
        "bboxes": torch.tensor(np.array(boxes), dtype=torch.float32).reshape(-1, 4),
        "batch_idx": torch.tensor(owners, dtype=torch.float32),
        "cls": torch.zeros(len(owners), 1),
    }


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--onnx", type=Path, help="write the served graph here too")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.steps, options.output, seed=options.seed)
    if options.onnx:
        network = load_network(options.output)
        export_onnx(network, options.onnx, image_size=SERVED_SIZE, licence="AGPL-3.0")


if __name__ == "__main__":
    main()
