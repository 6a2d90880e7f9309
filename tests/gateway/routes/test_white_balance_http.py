"""White balance by job: the model proposes colours and never repaints."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from gateway.inference import PictureRequest
from gateway.inference_fake import FakeBackend
from preprocessing import conditions
from preprocessing.codec import decode_image, encode_jpeg, encode_png
from tests.gateway.conftest import Gateway, serve
from tests.gateway.edits import PHOTO, assert_shown, finish, result, shown


async def test_white_balance_never_repaints_the_photograph(gateway: Gateway) -> None:
    """The backend paints one grey: no photograph, so the classical estimate answers."""
    job = await finish(gateway, task="white_balance")
    assert_shown(gateway, conditions.white_balance(PHOTO))
    assert shown(gateway).prompt == "white balance"
    assert any("does not show the photograph" in warning for warning in job["warnings"])
    balanced = await result(gateway, job)
    order = np.argsort(PHOTO[..., 0].ravel(), kind="stable")
    assert (np.diff(balanced[..., 0].ravel()[order].astype(int)) >= -1).all()
    assert job["preservation"] is None
    cube = await gateway.client.get(job["output"][0]["cube_url"])
    assert cube.text.startswith('TITLE "Retouch white balance, auto"\nLUT_3D_SIZE 33\n')
    assert cube.headers["content-type"].startswith("text/plain")


class WarmingBackend(FakeBackend):
    """Gives the first picture back, warmer and with noise of its own."""

    async def paint(self, request: PictureRequest) -> Any:
        async for event in super().paint(request):
            if hasattr(event, "image"):
                noise = np.random.default_rng(0).normal(0, 6, request.images[0].shape)
                warm = request.images[0] * np.array([1.0, 0.9, 0.75]) + noise
                event = type(event)(np.clip(warm, 0, 255).astype(np.uint8), 0.0, {})
            yield event


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_white_balance_takes_the_models_colours_alone(tmp_path: Any, form: str) -> None:
    async with serve(tmp_path, WarmingBackend()) as gateway:
        photo = data.astronaut()
        encoded = encode_png(photo) if form == "png" else encode_jpeg(photo, 95)
        stored = await gateway.upload(encoded)
        job = await finish(gateway, task="white_balance", image=stored)
        assert job["warnings"] == []
        assert job["output"][0]["format"] == form
        balanced = await result(gateway, job)
        assert balanced.shape == photo.shape
        wanted = decode_image(encoded).pixels * np.array([1.0, 0.9, 0.75])
        difference = np.abs(balanced - wanted)
        assert np.median(difference) < 5
        detail = cv2.Laplacian(balanced[..., 1], cv2.CV_64F) - cv2.Laplacian(
            wanted[..., 1].astype(np.float64), cv2.CV_64F
        )
        assert np.median(np.abs(detail)) < 3
