"""The edit tasks on the real Triton: the conditions as shown, the original as kept."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from gateway.errors import ModelUnavailableError
from gateway.triton.triton_client import TritonBackend
from preprocessing import conditions
from preprocessing.codec import decode_image, encode_mask_png, encode_png
from preprocessing.prefill import grown, telea
from tests.acceptance.plain_diffusers import difference, paint
from tests.acceptance.served import Served

PHOTO = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
MASK = np.zeros((256, 256), np.bool_)
MASK[60:180, 80:200] = True
LEVELS = np.where(MASK, np.uint8(255), np.uint8(0))
ROCKET = data.rocket()[:400, :400]

LAMA_CONFIG = """
backend: "python"
max_batch_size: 0
input [
  { name: "IMAGE" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] },
  { name: "MASK" data_type: TYPE_UINT8 dims: [ -1, -1 ] }
]
output [{ name: "FILLED" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }]
instance_group [{ kind: KIND_CPU }]
"""
LAMA_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._fill(request) for request in requests]

    def _fill(self, request):
        image, hole = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("IMAGE", "MASK")
        )
        filled = np.where(hole[..., None] > 0, np.uint8(99), image)
        return pb_utils.InferenceResponse([pb_utils.Tensor("FILLED", filled)])
"""


def submit(gateway: Served, **fields: Any) -> dict[str, Any]:
    fields |= {"image": gateway.upload(encode_png(PHOTO)), "seed": 3, "num_inference_steps": 3}
    ended = gateway.finish(gateway.submit(**fields))
    assert ended["status"] == "succeeded", ended["error"]
    return ended


def result(gateway: Served, job: dict[str, Any]) -> bytes:
    return gateway.http.get(job["urls"]["result"]).content


def shown(built: conditions.Conditions) -> list[Any]:
    return [Image.fromarray(image) for image in built.images]


def test_removal_equals_plain_diffusers_on_its_conditions(gateway: Served) -> None:
    mask = gateway.upload(encode_mask_png(MASK))
    job = submit(gateway, task="remove", mask=mask, prefill_grow=8, preserve="none")
    built = conditions.removal(PHOTO, LEVELS, telea(PHOTO, MASK, grow_px=8))
    expected = paint("remove object", seed=3, steps=3, images=shown(built))
    assert difference(result(gateway, job), expected) <= 1


def test_insertion_equals_plain_diffusers_on_its_conditions(gateway: Served) -> None:
    shape = np.zeros((400, 400), np.bool_)
    shape[50:350, 150:250] = True
    job = submit(
        gateway,
        task="insert",
        prompt="a rocket",
        mask=gateway.upload(encode_mask_png(MASK)),
        reference=[gateway.upload(encode_png(ROCKET))],
        reference_mask=gateway.upload(encode_mask_png(shape)),
        preserve="none",
    )
    built = conditions.insertion(PHOTO, LEVELS, reference=ROCKET, reference_mask=shape)
    expected = paint("a rocket", seed=3, steps=3, images=shown(built))
    assert difference(result(gateway, job), expected) <= 1


@pytest.mark.parametrize("task", ["insert", "remove", "inpaint"])
def test_outside_the_mask_every_bit_is_the_inputs(gateway: Served, task: str) -> None:
    mask = gateway.upload(encode_mask_png(MASK))
    job = submit(gateway, task=task, prompt="a rocket", mask=mask)
    edited = decode_image(result(gateway, job)).pixels
    np.testing.assert_array_equal(edited[~MASK], PHOTO[~MASK])
    assert (edited[MASK] != PHOTO[MASK]).any()
    assert job["preservation"]["outside_equal"]


def test_a_click_is_enough_for_a_removal(gateway: Served) -> None:
    scene = Path(__file__).parents[2] / "docs" / "pictures" / "scene.png"
    image = scene.read_bytes()
    job = gateway.finish(
        gateway.submit(
            task="remove",
            image=gateway.upload(image),
            mask={"points": [[365, 426]], "grow": 4, "feather": 2},
            num_inference_steps=2,
        )
    )
    assert job["status"] == "succeeded", job["error"]
    used = gateway.http.get(f"/v1/files/{job['mask']['file_id']}/content").content
    mask = decode_image(used).pixels[..., 0] > 127
    assert mask[426, 365]
    edited = decode_image(result(gateway, job)).pixels
    np.testing.assert_array_equal(edited[~mask], decode_image(image).pixels[~mask])


def test_white_balance_leaves_the_photograph_its_detail(gateway: Served) -> None:
    """Random weights propose noise; a colour transform of the photograph comes out all the same."""
    job = submit(gateway, task="white_balance")
    balanced = decode_image(result(gateway, job)).pixels
    assert balanced.shape == PHOTO.shape
    for channel in range(3):
        one, other = PHOTO[..., channel].ravel(), balanced[..., channel].ravel()
        assert np.corrcoef(one, other)[0, 1] > 0.95
    cube = gateway.http.get(job["output"][0]["cube_url"]).text
    assert "LUT_3D_SIZE 33" in cube


async def test_without_a_lama_model_nothing_fails(gateway: Served) -> None:
    backend = TritonBackend(gateway.triton["grpc"], segmentation_timeout_s=10, stall_timeout_s=10)
    try:
        with pytest.raises(ModelUnavailableError, match="no model lama"):
            await backend.fill(PHOTO, LEVELS)
    finally:
        await backend.close()


@pytest.fixture(scope="module")
def with_lama(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    copy = tmp_path_factory.mktemp("lama") / "model_repository"
    shutil.copytree(repository, copy)
    (copy / "lama" / "1").mkdir(parents=True)
    (copy / "lama" / "config.pbtxt").write_text('name: "lama"' + LAMA_CONFIG)
    (copy / "lama" / "1" / "model.py").write_text(LAMA_MODEL)
    served = Served(tmp_path_factory.mktemp("served"), model_repository=copy)
    try:
        served.wait_ready()
        yield served
    finally:
        served.stop()


async def test_a_lama_model_in_the_repository_is_loaded_and_asked(with_lama: Served) -> None:
    backend = TritonBackend(with_lama.triton["grpc"], segmentation_timeout_s=10, stall_timeout_s=10)
    try:
        filled = await backend.fill(PHOTO, LEVELS)
    finally:
        await backend.close()
    assert (filled[MASK] == 99).all()
    np.testing.assert_array_equal(filled[~MASK], PHOTO[~MASK])
    mask = with_lama.upload(encode_mask_png(MASK))
    job = submit(with_lama, task="remove", mask=mask, prefill_grow=8, preserve="none")
    guess = np.where(grown(MASK, 8)[..., None], np.uint8(99), PHOTO)
    expected = paint(
        "remove object", seed=3, steps=3, images=shown(conditions.removal(PHOTO, LEVELS, guess))
    )
    assert difference(result(with_lama, job), expected) <= 1
    assert Image.open(io.BytesIO(result(with_lama, job))).size == (256, 256)
