import cv2
import numpy as np
import pytest
from scipy import ndimage

from export_scripts.demo_scenes import draw_scene
from preprocessing import fastsam
from preprocessing.fastsam import decode_detections, instance_mask, instance_patch, logits_at
from preprocessing.letterbox import plan_letterbox
from tests.preprocessing.networks import (
    known_instances,
    mask_iou,
    random_outputs,
    smooth_prototypes,
)

# Padding of whole cells, so that the reference can cut it off exactly.
ALIGNED = [(256, 256), (512, 512), (512, 384), (301, 301), (640, 320), (96, 128), (33, 33)]
ODD = [(640, 427), (427, 640), (331, 257), (97, 500), (1023, 683), (50, 3)]


def naive_mask(instances, index):
    """The textbook way: every logit, padding cut off, enlarged to the picture, cut to the box."""
    plan, prototypes = instances.plan, instances.prototypes
    logits = np.tensordot(instances.coefficients[index], prototypes, 1)
    cells = len(logits) / plan.frame_wh[1]
    top, left = round(plan.top * cells), round(plan.left * cells)
    down, across = round(plan.content_wh[1] * cells), round(plan.content_wh[0] * cells)
    cut = logits[top : top + down, left : left + across]
    inside = cv2.resize(cut, plan.image_wh, interpolation=cv2.INTER_LINEAR) > 0
    return in_box(inside, instances.boxes[index])


def exact_mask(instances, index):
    """The same with padding of a fraction of a cell: SciPy's bilinear sampling of every pixel."""
    plan, prototypes = instances.plan, instances.prototypes
    logits = np.tensordot(instances.coefficients[index], prototypes, 1).astype(np.float64)
    cells = len(logits) / plan.frame_wh[1]
    positions, first = [], []
    for axis in (1, 0):
        start, content = (plan.left, plan.top)[axis], plan.content_wh[axis]
        centres = (np.arange(prototypes.shape[1]) + 0.5) / cells
        used = np.flatnonzero((centres >= start) & (centres <= start + content))
        logits = np.take(logits, used, axis=1 - axis)
        side = plan.image_wh[axis]
        pixel = (np.arange(side) + 0.5) / side * content + start
        positions.append(pixel * cells - 0.5)
        first.append(used[0])
    rows, columns = np.meshgrid(positions[0] - first[0], positions[1] - first[1], indexing="ij")
    inside = ndimage.map_coordinates(logits, [rows, columns], order=1, mode="nearest") > 0
    return in_box(inside, instances.boxes[index])


def in_box(inside, box):
    x0, y0, x1, y1 = np.ceil(box).astype(int)
    cropped = np.zeros_like(inside)
    cropped[y0:y1, x0:x1] = inside[y0:y1, x0:x1]
    return cropped


@pytest.mark.parametrize("image_wh", ALIGNED)
def test_masks_equal_the_naive_reference(image_wh):
    instances = random_outputs(np.random.default_rng(1), image_wh)
    assert len(instances) > 10
    for index in range(len(instances)):
        assert mask_iou(instance_mask(instances, index), naive_mask(instances, index)) >= 0.999


@pytest.mark.parametrize("image_wh", ALIGNED + ODD[:-1])
def test_masks_equal_exact_sampling(image_wh):
    instances = random_outputs(np.random.default_rng(2), image_wh)
    for index in range(0, len(instances), 3):
        assert mask_iou(instance_mask(instances, index), exact_mask(instances, index)) >= 0.996


@pytest.mark.parametrize("image_wh", ODD)
def test_logits_say_what_the_mask_says(image_wh):
    rng = np.random.default_rng(3)
    instances = random_outputs(rng, image_wh, rows=6)
    points = rng.uniform(0, image_wh, (200, 2))
    inside = logits_at(instances, points) > 0
    for index in range(len(instances)):
        x, y = points.astype(int).T
        np.testing.assert_array_equal(inside[index], instance_mask(instances, index)[y, x])


def test_logits_outside_the_box_are_minus_infinity():
    instances = known_instances([np.pad(np.ones((40, 40), bool), 30)])
    assert np.isneginf(logits_at(instances, [(5, 5), (29.9, 50)])).all()
    assert logits_at(instances, [(50, 50)]) == pytest.approx(6, abs=0.1)
    assert logits_at(instances, []).shape == (1, 0)


@pytest.mark.parametrize("size", [256, 257, 255])
def test_known_shapes_come_back(size):
    scene = draw_scene(11, 256)
    masks = [cv2.resize(m.astype(np.uint8), (size, 180)) > 0 for m in scene.masks]
    instances = known_instances(masks, size=640)
    assert len(instances) == len(masks) >= 3
    for index, mask in enumerate(masks):
        assert mask_iou(instance_mask(instances, index), mask) > 0.97


def test_a_mask_reaches_the_pictures_edge():
    mask = np.zeros((301, 500), bool)
    mask[:100] = True
    found = instance_mask(known_instances([mask]), 0)
    assert found[0].all()
    assert found[:95, 0].all()


def test_the_patch_is_the_mask_in_its_box():
    instances = random_outputs(np.random.default_rng(4), (331, 257))
    patch, (x0, y0, x1, y1) = instance_patch(instances, 0)
    mask = instance_mask(instances, 0)
    assert patch.dtype == mask.dtype == np.bool_
    np.testing.assert_array_equal(mask[y0:y1, x0:x1], patch)
    assert mask.sum() == patch.sum()
    np.testing.assert_array_equal(instance_patch(instances, 0, step=3)[0], patch[::3, ::3])


def rows(*boxes_and_scores):
    detections = np.zeros((len(boxes_and_scores), 37), np.float32)
    detections[:, :5] = np.reshape(boxes_and_scores, (-1, 5))
    return detections


PLAN = plan_letterbox((512, 256), 256)  # factor 0.5, 64 rows of padding above and below
PROTOTYPES = smooth_prototypes(np.random.default_rng(0), 64)


def test_boxes_become_image_pixels():
    found = decode_detections(rows((128, 128, 64, 32, 0.9)), PROTOTYPES, PLAN)
    np.testing.assert_allclose(found.boxes, [[192, 96, 320, 160]])
    assert found.scores == pytest.approx([0.9])
    assert found.coefficients.shape == (1, 32)


def test_low_scores_and_duplicates_go():
    detections = rows(
        (128, 128, 64, 32, 0.9),
        (130, 128, 64, 32, 0.8),
        (60, 128, 40, 40, 0.5),
        (200, 128, 9, 9, 0.2),
    )
    assert decode_detections(detections, PROTOTYPES, PLAN).scores == pytest.approx([0.9, 0.5])
    everything = decode_detections(detections, PROTOTYPES, PLAN, min_score=0.1, max_iou=0.99)
    assert len(everything) == 4
    assert len(decode_detections(detections, PROTOTYPES, PLAN, min_score=0, max_instances=1)) == 1


def test_unsorted_rows_are_sorted():
    detections = rows((60, 128, 20, 20, 0.3), (128, 128, 20, 20, 0.9), (200, 128, 20, 20, 0.6))
    found = decode_detections(detections, PROTOTYPES, PLAN)
    assert found.scores == pytest.approx([0.9, 0.6, 0.3])


def test_what_cannot_be_an_instance_goes():
    detections = rows(
        (128, 20, 64, 32, 0.9),
        (np.nan, 128, 9, 9, 0.8),
        (128.3, 128, 0.1, 9, 0.7),
        (9, 99, -5, 9, 0.6),
    )
    found = decode_detections(detections, PROTOTYPES, PLAN)
    assert (len(found), found.boxes.shape) == (0, (0, 4))
    assert len(decode_detections(rows(), PROTOTYPES, PLAN)) == 0


def test_suppression_is_greedy():
    # The second is dropped by the first, so it cannot drop the third.
    boxes = np.float32([[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]])
    kept = fastsam._suppress(boxes, np.float32([0.9, 0.8, 0.7]), 0.5)
    np.testing.assert_array_equal(kept, [0, 2])


@pytest.mark.parametrize(
    ("detections", "prototypes"),
    [(np.zeros((2, 36)), PROTOTYPES), (np.zeros(37), PROTOTYPES), (rows(), PROTOTYPES[0])],
)
def test_shapes_must_belong_together(detections, prototypes):
    with pytest.raises(ValueError, match="got"):
        decode_detections(detections, prototypes, PLAN)


def quantised(prototypes):
    low, high = prototypes.min((1, 2)), prototypes.max((1, 2))
    scale = (high - low) / 255
    levels = np.stack([scale, low], 1).astype(np.float32)
    return np.round((prototypes - low[:, None, None]) / scale[:, None, None]).astype(
        np.uint8
    ), levels


@pytest.mark.parametrize("image_wh", [(256, 256), (640, 427)])
def test_prototypes_may_come_as_bytes(image_wh):
    rng = np.random.default_rng(8)
    plan = plan_letterbox(image_wh, 256, stride=32)
    across, down = plan.frame_wh[0] // 4, plan.frame_wh[1] // 4
    prototypes = smooth_prototypes(rng, max(across, down))[:, :down, :across]
    detections = rows((128, down * 2, 200, 2 * down, 0.9), (60, 60, 80, 90, 0.8))
    detections[:, 5:] = rng.standard_normal((2, 32))
    exact = decode_detections(detections, prototypes, plan)
    levels_of = quantised(prototypes)
    coarse = decode_detections(detections, levels_of[0], plan, levels=levels_of[1])
    assert coarse.prototypes.dtype == np.uint8
    assert coarse.nbytes < exact.nbytes / 3
    for index in range(2):
        first, second = instance_mask(exact, index), instance_mask(coarse, index)
        assert first.any()
        assert mask_iou(first, second) > 0.99
    points = rng.uniform(0, image_wh, (50, 2))
    inside = logits_at(exact, points) > -np.inf
    difference = logits_at(coarse, points)[inside] - logits_at(exact, points)[inside]
    assert np.abs(difference).max() < 0.05
