"""Mean mask IoU of an exported segmenter on held-out synthetic scenes.

    python -m export_scripts.evaluate_segmenter export_scripts/demo/fastsam_demo.onnx

Reports the best match among everything, the answer to a box, and the answer to one click at the
deepest point of the object, each over all objects of `demo_scenes.HELD_OUT_SEEDS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from export_scripts.demo_scenes import HELD_OUT_SEEDS, draw_scene
from export_scripts.fastsam_comparison import open_session, run
from preprocessing.arrays import Mask
from preprocessing.fastsam import instance_mask
from preprocessing.masks import bounding_box
from preprocessing.prompts import Prompt, rank

WAYS = ("everything", "box", "click")


def evaluate(
    model: Path, *, seeds: Sequence[int] = HELD_OUT_SEEDS, scene_size: int = 384
) -> dict[str, float]:
    """Mean IoU for each of `WAYS`; an object that is not found counts 0."""
    session = open_session(model)
    size = int(session.get_modelmeta().custom_metadata_map["image_size"])
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in seeds:
        scene = draw_scene(seed, scene_size)
        instances = run(session, scene.image, size)
        found = [instance_mask(instances, index) for index in range(len(instances))]
        for truth in scene.masks:
            scores["everything"].append(max((iou(mask, truth) for mask in found), default=0.0))
            for way in ("box", "click"):
                choices = rank(instances, _prompt(way, truth))
                scores[way].append(iou(found[choices[0].index], truth) if choices else 0.0)
    return {way: float(np.mean(values)) for way, values in scores.items()}


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def _prompt(way: str, truth: Mask) -> Prompt:
    if way == "box":
        box = bounding_box(truth)
        assert box is not None  # noqa: S101
        return Prompt(box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    depth = cv2.distanceTransform(truth.astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), truth.shape)
    return Prompt(points=((float(x), float(y)),), labels=(1,))


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    for way, score in evaluate(parser.parse_args().model).items():
        print(f"{way}: mean IoU {score:.3f}")


if __name__ == "__main__":
    main()
