"""What the gateway sends and reads exists in the configs, with that type and shape."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.inference import (
    EDIT_MODEL,
    GENERATION_MODEL,
    SEGMENTATION_MODEL,
    PictureRequest,
    SavedState,
)
from gateway.triton.triton_canaries import (
    STAGE_MODELS,
    pipeline_canary,
    segmentation_canary,
    stage_canary,
)
from gateway.triton.triton_masks import tensors_of
from gateway.triton.triton_painting import paint_inputs
from tests.model_repository.config_fit import config_of, misfits

DIMENSIONS = {"latents": 64, "text": 32, "z": 16}
PIPELINES = (GENERATION_MODEL, EDIT_MODEL)


def sent(inputs: dict[str, np.ndarray]) -> dict[str, tuple[str, list[int]]]:
    return {t.name(): (t.datatype(), t.shape()) for t in tensors_of(inputs)}


def picture(model: str, **options: object) -> PictureRequest:
    defaults = {
        "prompt": "a cat",
        "width": 64,
        "height": 32,
        "num_inference_steps": 4,
        "true_cfg_scale": 1.0,
        "seed": 1,
    }
    return PictureRequest(model=model, **defaults | options)


@pytest.mark.parametrize("model", STAGE_MODELS)
def test_a_stage_takes_its_canary(model: str) -> None:
    assert misfits(config_of(model), sent(stage_canary(model, DIMENSIONS))) == []


@pytest.mark.parametrize("model", PIPELINES)
def test_a_pipeline_takes_its_canary(model: str) -> None:
    assert misfits(config_of(model), sent(pipeline_canary())) == []


def test_the_segmenter_takes_its_canary() -> None:
    assert misfits(config_of(SEGMENTATION_MODEL), sent(segmentation_canary())) == []


@pytest.mark.parametrize("model", PIPELINES)
def test_a_pipeline_takes_a_full_job(model: str) -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    job = picture(model, images=(image,) * 4, mask=image[..., 0], adapters={"removal": 1.0})
    saved = SavedState(2, np.zeros((8, 64), np.float32), "of this")
    job = replace(job, is_batch=True, exact=True, save_every=2, saved=saved)
    inputs = paint_inputs(job)
    assert misfits(config_of(model), sent(inputs)) == []
    assert inputs.keys() == {tensor.name for tensor in config_of(model).input}


@pytest.mark.parametrize("model", PIPELINES)
def test_a_pipeline_takes_a_plain_job(model: str) -> None:
    assert misfits(config_of(model), sent(paint_inputs(picture(model)))) == []


@pytest.mark.parametrize(
    ("model", "read"),
    [
        (
            SEGMENTATION_MODEL,
            {"DETECTIONS", "PROTOTYPES", "PROTOTYPE_LEVELS", "IMAGE_SIZE", "PROTOTYPES_FINE"},
        ),
        (GENERATION_MODEL, {"EVENT", "PREVIEW", "IMAGE", "LATENTS"}),
        (EDIT_MODEL, {"EVENT", "PREVIEW", "IMAGE", "LATENTS"}),
    ],
)
def test_what_the_client_reads_is_an_output(model: str, read: set[str]) -> None:
    assert {tensor.name for tensor in config_of(model).output} == read
