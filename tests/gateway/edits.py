"""Edit jobs on the model server in memory: a photo, a mask, and what the model was shown."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from skimage import data

from gateway.inference import PictureRequest
from preprocessing import conditions
from preprocessing.codec import decode_image, encode_mask_png, encode_png
from tests.gateway.conftest import Gateway

PHOTO = cv2.resize(data.astronaut(), (64, 64), interpolation=cv2.INTER_AREA)
MASK = np.zeros((64, 64), np.bool_)
MASK[20:44, 16:40] = True
LEVELS = np.where(MASK, np.uint8(255), np.uint8(0))
ROCKET = data.rocket()[:400, :400]


async def finish(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    fields.setdefault("image", await gateway.upload(encode_png(PHOTO)))
    job = await gateway.finish(seed=7, **fields)
    assert job["status"] == "succeeded", job["error"]
    return job


async def masked(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    return await finish(gateway, mask=await gateway.upload(encode_mask_png(MASK)), **fields)


def shown(gateway: Gateway, number: int = -1) -> PictureRequest:
    return gateway.backend.painted[number]


def assert_shown(gateway: Gateway, wanted: conditions.Conditions) -> None:
    images = shown(gateway).images
    assert len(images) == len(wanted.images)
    for image, expected in zip(images, wanted.images, strict=True):
        np.testing.assert_array_equal(image, expected)


async def result(gateway: Gateway, job: dict[str, Any]) -> np.ndarray:
    return decode_image(await gateway.result(job)).pixels
