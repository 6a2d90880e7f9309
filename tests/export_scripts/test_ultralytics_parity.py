"""The same weights through ultralytics' own FastSAM predictor and through ours.

Where ours differs on purpose:

* Prototypes travel with two bytes each over shared memory: every mask has an IoU of 0.99 with
  theirs, as with the network's own floats. Over gRPC one byte each travels: that costs a trained
  network's masks about 0.001 on average, and more where logits are nearly 0 all over, as in a
  random network's.
* Near a padded edge, prototype cells in the padding are not read; the edge's own are repeated.
* Boxes leave the letterbox by each axis' exact factor, not by the rounded common one, so a
  mask may be cut one pixel earlier or later.
* A point prompt answers with the best mask, not with all that hold the point; a box weighs the
  network's score, not the overlap alone, and a poor overlap is no answer.
* Boxes near the picture's border are not moved onto it; masks never were.
* Pictures below half their size are averaged, not sampled: here all are at least half.
* Pictures are RGB throughout and alpha lies on white; ultralytics reads BGR and drops alpha, so
  it gets our pixels, in its order.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from ultralytics import FastSAM
from ultralytics.nn.tasks import SegmentationModel
from ultralytics.utils import DEFAULT_CFG

from export_scripts.demo import SEGMENTER
from export_scripts.demo_checkpoint import network_of
from export_scripts.demo_scenes import draw_scene
from export_scripts.demo_segmenter import save
from export_scripts.fastsam_comparison import open_session
from export_scripts.fastsam_graph import FINE, OUTPUTS, export_onnx, load_network
from preprocessing.codec import decode_image
from preprocessing.fastsam import Instances, decode_detections, instance_mask, refined
from preprocessing.letterbox import letterbox, plan_letterbox
from preprocessing.prompts import Prompt, rank
from tests.preprocessing.pictures import encode, exif

SIZE = 320
PICTURES = 60
CANDIDATES = 30
"""Rows that reach suppression: the score threshold lies between this one and the next."""


@dataclass(frozen=True)
class Nets:
    """One network on both sides."""

    theirs: Any
    ours: Any
    network: Any
    """In torch, for prototypes that are not rounded to bytes."""
    least: float
    """IoU that every mask has with theirs where each prototype is one byte."""

    def find(self, pixels: np.ndarray) -> tuple[Instances, Instances, Any]:
        """Our instances with both bytes and with one, and their result, by one threshold."""
        plan = plan_letterbox((pixels.shape[1], pixels.shape[0]), SIZE, stride=32)
        outputs = self.ours.run([*OUTPUTS[:3], FINE], {"IMAGES": letterbox(pixels, plan)[None]})
        rows, coarse, levels, fine = (part[0] for part in outputs)
        threshold = max(float(rows[CANDIDATES - 1 : CANDIDATES + 1, 4].mean()), 0.02)
        instances, rounded = (
            decode_detections(rows, prototypes, plan, levels=their_levels, min_score=threshold)
            for prototypes, their_levels in (refined(coarse, fine, levels), (coarse, levels))
        )
        return instances, rounded, self.predict(pixels, threshold)

    def exact(self, pixels: np.ndarray, instances: Instances) -> Instances:
        """The same instances with the prototypes as the network made them."""
        frame = torch.from_numpy(letterbox(pixels, instances.plan)[None])
        with torch.inference_mode():
            prototypes = self.network(frame.permute(0, 3, 1, 2).float() / 255)[1][0].numpy()
        outputs = self.ours.run(OUTPUTS[:3], {"IMAGES": frame.numpy()})
        return decode_detections(
            outputs[0][0], prototypes, instances.plan, min_score=float(instances.scores.min())
        )

    def predict(self, pixels: np.ndarray, threshold: float) -> Any:
        return self.theirs.predict(
            pixels[..., ::-1],
            imgsz=SIZE,
            conf=threshold,
            iou=0.7,
            retina_masks=True,
            device="cpu",
            verbose=False,
        )[0]

    def prompt(self, result: Any, **prompts: Any) -> Any:
        """Their choice among what they found."""
        return self.theirs.predictor.prompt([result], **prompts)[0].masks


def pictures() -> Iterator[np.ndarray]:
    """Sides of 40 to 640, photographs and scenes; some turned, grey or with alpha in their file."""
    rng = np.random.default_rng(0)
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    for number in range(PICTURES):
        width, height = (int(side) for side in rng.integers(40, 2 * SIZE, 2))
        if number % 3:
            pixels = draw_scene(9000 + number, max(width, height)).image[:height, :width]
        else:
            pixels = cv2.resize(photos[number % 4], (width, height), interpolation=cv2.INTER_AREA)
        yield decode_image(_file(np.ascontiguousarray(pixels), number)).pixels


def _file(pixels: np.ndarray, number: int) -> bytes:
    match number % 6:
        case 1:
            return encode(pixels, "JPEG", exif=exif(1 + number % 8))
        case 2:
            return encode(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), "PNG")
        case 4:
            alpha = np.full(pixels.shape[:2], 255, np.uint8)
            alpha[: len(alpha) // 3] = 90
            return encode(np.dstack([pixels, alpha]), "PNG")
    return encode(pixels, "PNG")


def demo(folder: Path) -> Nets:
    return _both(network_of(SEGMENTER), folder, least=0.98)


def random_fastsam_s(folder: Path) -> Nets:
    """FastSAM-s of random weights, its statistics set so that the picture reaches the outputs."""
    torch.manual_seed(0)
    network: Any = SegmentationModel("yolov8s-seg.yaml", nc=1, verbose=False)
    network.names, network.task, network.args = {0: "object"}, "segment", copy.deepcopy(DEFAULT_CFG)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    scenes = np.stack([draw_scene(seed, SIZE).image for seed in range(8)])
    with torch.no_grad():
        network.train()(torch.from_numpy(scenes).permute(0, 3, 1, 2).float() / 255)
    return _both(network.eval(), folder, least=0.92)


def _both(network: Any, folder: Path, *, least: float) -> Nets:
    """By way of a checkpoint, which holds half-precision weights."""
    weights, graph = folder / "FastSAM.pt", folder / "FastSAM.onnx"
    save(network, weights, SIZE)
    served = export_onnx(load_network(weights), graph, image_size=SIZE, licence="none")
    return Nets(FastSAM(str(weights)), open_session(graph), served.network, least)


@pytest.fixture(scope="module", params=[demo, random_fastsam_s], ids=lambda make: make.__name__)
def nets(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Nets:
    made: Nets = request.param(tmp_path_factory.mktemp("parity"))
    return made


def test_everything_box_and_point(nets: Nets) -> None:
    ious, coarse, exact, boxes_asked, boxes_equal, points_asked = [], [], [], 0, 0, 0
    for number, pixels in enumerate(pictures()):
        instances, rounded, result = nets.find(pixels)
        ours = [instance_mask(instances, index) for index in range(len(instances))]
        assert len(ours) == len(result.boxes), number
        scores = result.boxes.conf.numpy()
        np.testing.assert_allclose(instances.scores, scores, atol=1e-4)
        if not ours:
            continue
        masks = result.masks.data.numpy() > 0
        partner = _partners(instances, ours, scores, masks)
        ious += [
            _iou(mask, masks[partner[index]], _core(instances, index))
            for index, mask in enumerate(ours)
        ]
        coarse += _ious(rounded, masks, scores)
        if number % 4:
            continue
        exact += _ious(nets.exact(pixels, instances), masks, scores)
        box = np.round(instances.boxes[len(ours) // 2]).astype(int)
        if (box[2:] - box[:2] >= 4).all():
            boxes_asked += 1
            boxes_equal += _same_box_answer(nets, result, instances, box)
        point = _point_in(ours)
        if point is not None:
            points_asked += 1
            _check_point(nets, result, ours, point, instances)
    assert len(ious) > 150
    assert np.min(exact) >= 0.999
    assert np.min(ious) >= 0.99
    assert np.mean(coarse) >= 0.99
    assert np.min(coarse) >= nets.least
    assert points_asked >= 8
    assert boxes_equal >= 0.8 * boxes_asked >= 5


def _partners(
    instances: Instances, ours: list[np.ndarray], scores: np.ndarray, masks: np.ndarray
) -> list[int]:
    """Index of their mask that is ours; those of nearly equal score may come in another order."""
    found = []
    for score, mask in zip(instances.scores, ours, strict=True):
        equal = np.flatnonzero(np.abs(scores - score) < 2e-3)
        overlaps = [(mask & masks[i]).sum() / max((mask | masks[i]).sum(), 1) for i in equal]
        found.append(int(equal[int(np.argmax(overlaps))]))
    return found


def _ious(instances: Instances, masks: np.ndarray, scores: np.ndarray) -> list[float]:
    ours = [instance_mask(instances, index) for index in range(len(instances))]
    partner = _partners(instances, ours, scores, masks)
    return [
        _iou(mask, masks[partner[index]], _core(instances, index))
        for index, mask in enumerate(ours)
    ]


def _core(instances: Instances, index: int) -> np.ndarray:
    """Where the two must agree: not at the box's outermost pixels, nor a cell from the padding."""
    plan = instances.plan
    width, height = plan.image_wh
    x0, y0, x1, y1 = (int(v) for v in instances.pixel_boxes()[index])
    core = np.zeros((height, width), bool)
    core[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = True
    for axis, margin in enumerate(
        (plan.frame_wh[0] - plan.content_wh[0], plan.frame_wh[1] - plan.content_wh[1])
    ):
        if margin % 8:
            edge = int(np.ceil(6 / plan.scale)) + 1
            side = core if axis == 1 else core.T
            side[:edge] = side[-edge:] = False
    return core


def _iou(first: np.ndarray, second: np.ndarray, core: np.ndarray) -> float:
    union = ((first | second) & core).sum()
    both = (first & second & core).sum()
    # One pixel more or less along the outline of a small mask is rounding.
    return 1.0 if union - both <= 3 else float(both / union)


def _same_box_answer(nets: Nets, result: Any, instances: Instances, box: np.ndarray) -> bool:
    theirs = nets.prompt(result, bboxes=[box.tolist()]).data.numpy()[0] > 0
    choices = rank(instances, Prompt(box=tuple(float(v) for v in box)))
    mask = instance_mask(instances, choices[0].index)
    return _iou(mask, theirs, _core(instances, choices[0].index)) >= 0.99


def _point_in(masks: list[np.ndarray]) -> tuple[int, int] | None:
    """The deepest pixel of the first mask that has some depth."""
    for mask in masks:
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        if depth.max() >= 4:
            y, x = np.unravel_index(int(depth.argmax()), mask.shape)
            return int(x), int(y)
    return None


def _check_point(
    nets: Nets,
    result: Any,
    ours: list[np.ndarray],
    point: tuple[int, int],
    instances: Instances,
) -> None:
    """They answer all masks that hold the point; we rank the same ones."""
    theirs = nets.prompt(result, points=[list(point)], labels=[1])
    choices = rank(instances, Prompt(((float(point[0]), float(point[1])),), (1,)))
    assert len(choices) == (0 if theirs is None else len(theirs.data))
    assert all(ours[choice.index][point[1], point[0]] for choice in choices)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_turned_as_ultralytics_does(
    tmp_path: Path, orientation: int
) -> None:
    data_ = encode(data.chelsea()[:120, :200], "JPEG", quality=95, exif=exif(orientation))
    (tmp_path / "turned.jpg").write_bytes(data_)
    theirs = cv2.imread(str(tmp_path / "turned.jpg"))[..., ::-1]
    ours = decode_image(data_).pixels
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 2
    assert Image.open(io.BytesIO(data_)).getexif()[0x0112] == orientation
