"""Masks through HTTP, by the trained demo network on a real Triton."""

import base64
import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage import data

from export_scripts.demo_scenes import HELD_OUT_SEEDS, Scene, draw_scene
from preprocessing.codec import encode_mask_png, encode_png
from tests.acceptance.served import Served

SCENES = [draw_scene(seed, 384) for seed in HELD_OUT_SEEDS[:40]]


def masks_of(gateway: Served, scene: Scene, **prompts: object) -> list[npt.NDArray[np.bool_]]:
    image = gateway.upload(encode_png(scene.image))
    answer = gateway.http.post("/v1/masks", json={"image": image, **prompts})
    if answer.status_code == 400 and answer.json()["code"] == "mask_not_found":
        return []
    assert answer.status_code == 200, answer.text
    found = []
    for entry in answer.json()["masks"]:
        png = gateway.http.get(f"/v1/files/{entry['mask_id']}/content").content
        found.append(np.asarray(Image.open(io.BytesIO(png))) > 127)
    return found


def iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def inner_point(mask: npt.NDArray[np.bool_]) -> list[int]:
    """The pixel of a mask that is deepest inside it: where a person would click."""
    import cv2

    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return [int(x), int(y)]


def box_of(mask: npt.NDArray[np.bool_]) -> list[int]:
    y, x = np.nonzero(mask)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


def stroke_in(mask: npt.NDArray[np.bool_]) -> list[list[int]]:
    """From the deepest pixel to the one farthest along its row that is still inside."""
    x, y = inner_point(mask)
    row = np.flatnonzero(mask[y])
    inside = row[(row >= x) & (row - x == np.searchsorted(row, row) - np.searchsorted(row, x))]
    return [[x, y], [int(x + (inside.max() - x) * 0.8), y]]


def rough(mask: npt.NDArray[np.bool_]) -> str:
    """What a person would scribble over the object: its coarse shape, a little off."""
    blocks = np.kron(mask[::12, ::12], np.ones((12, 12), bool))[: len(mask), : mask.shape[1]]
    return "data:image/png;base64," + base64.b64encode(encode_mask_png(blocks)).decode()


PROMPTS = {
    "click": lambda mask: {"points": [inner_point(mask)]},
    "box": lambda mask: {"box": box_of(mask)},
    "scribble": lambda mask: {"scribble": stroke_in(mask), "scribble_width": 3},
    "hint": lambda mask: {"mask_hint": rough(mask)},
}


def test_everything_finds_the_objects_of_held_out_scenes(gateway: Served) -> None:
    scores = []
    for scene in SCENES:
        found = masks_of(gateway, scene, everything=True)
        scores += [max((iou(m, truth) for m in found), default=0.0) for truth in scene.masks]
    assert len(scores) > 80
    assert np.mean(scores) >= 0.90


@pytest.mark.parametrize("kind", ["click", "box", "scribble", "hint"])
def test_a_prompt_picks_its_object(gateway: Served, kind: str) -> None:
    scores = []
    for scene in SCENES:
        for truth in scene.masks:
            prompt = PROMPTS[kind](truth)
            found = masks_of(gateway, scene, prompts=[prompt])
            scores.append(iou(found[0], truth) if found else 0.0)
    assert np.mean(scores) >= {"box": 0.95, "click": 0.93, "scribble": 0.93, "hint": 0.94}[kind]


def test_negative_points_exclude_an_object(gateway: Served) -> None:
    scene = next(s for s in SCENES if len(s.masks) >= 2)
    first, second = (inner_point(mask) for mask in scene.masks[:2])
    prompt = {"points": [first, second], "labels": [1, 0]}
    mask = masks_of(gateway, scene, prompts=[prompt])[0]
    assert mask[first[1], first[0]]
    assert not mask[second[1], second[0]]


def test_the_second_call_on_a_picture_runs_no_network(gateway: Served) -> None:
    scene = draw_scene(HELD_OUT_SEEDS[-1], 300)
    image = gateway.upload(encode_png(scene.image))
    body = {"image": image, "everything": True}
    first = gateway.http.post("/v1/masks", json=body).json()
    before = gateway.statistics("fastsam")
    second = gateway.http.post("/v1/masks", json=body).json()
    # Canaries run meanwhile: at most a few, and the answer itself says where it came from.
    assert second["cached"]
    assert not first["cached"]
    assert gateway.statistics("fastsam")[0] - before[0] <= 2
    assert [m["mask_id"] for m in first["masks"]] == [m["mask_id"] for m in second["masks"]]


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "cat", "camera"])
def test_real_photographs_are_answered_at_their_own_size(gateway: Served, name: str) -> None:
    photo = getattr(data, name)()
    rgb = np.stack([photo] * 3, -1) if photo.ndim == 2 else photo
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=92)
    answer = gateway.http.post(
        "/v1/masks",
        files={"image": stream.getvalue()},
        data={"everything": "true", "output": "polygon"},
    )
    assert answer.status_code == 200
    body = answer.json()
    assert (body["height"], body["width"]) == rgb.shape[:2]
    for mask in body["masks"]:
        x0, y0, x1, y1 = mask["bbox"]
        assert 0 <= x0 < x1 <= body["width"]
        assert 0 <= y0 < y1 <= body["height"]
        assert mask["polygon"]
