"""What a pipeline model makes of a request's tensors, and what it refuses."""

from typing import Any

import numpy as np
import pytest

from qwen_serving.job_request import JobRequest, check_model, read_request
from tests.model_repository.in_process import request

PICTURE = np.zeros((8, 12, 3), np.uint8)
MASK = PICTURE[..., 0]


def read(**values: Any) -> JobRequest:
    """A request of single values and arrays, as the gateway sends them."""
    values = {"PROMPT": "a cat", "WIDTH": 64, "HEIGHT": 64, **values}
    arrays = {name: _tensor(value) for name, value in values.items() if value is not None}
    return read_request(request(**arrays))


def _tensor(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    return np.array([value.encode() if isinstance(value, str) else value])


def test_what_is_not_sent_has_diffusers_defaults() -> None:
    job = read(WIDTH=None, HEIGHT=None)
    assert (job.width, job.height) == (1024, 1024)
    assert (job.num_inference_steps, job.true_cfg_scale) == (50, 4.0)
    assert (job.negative_prompt, job.seed, job.preview_every) == ("", 0, 0)
    assert (job.images, job.mask) == ((), None)


def test_values_are_read() -> None:
    job = read(NEGATIVE_PROMPT="fög", SEED=2**40, STRENGTH=0.5, PREVIEW_EVERY=2)
    assert (job.prompt, job.negative_prompt) == ("a cat", "fög")
    assert (job.seed, job.strength, job.preview_every) == (2**40, 0.5, 2)


def test_pictures_keep_their_order() -> None:
    job = read(IMAGE_2=PICTURE + 2, IMAGE_1=PICTURE + 1, IMAGE_4=PICTURE + 4)
    assert [int(image[0, 0, 0]) for image in job.images] == [1, 2, 4]


def test_pictures_outlive_the_request() -> None:
    buffer = PICTURE.copy()
    job = read(IMAGE_1=buffer)
    buffer[:] = 9
    assert not job.images[0].any()


@pytest.mark.parametrize(
    ("values", "limit", "value"),
    [
        ({"WIDTH": 100}, "multiples of 16", "100x64"),
        ({"HEIGHT": 0}, "multiples of 16", "64x0"),
        ({"WIDTH": -16}, "multiples of 16", "-16x64"),
        ({"WIDTH": 2048, "HEIGHT": 2064}, "at most 4194304", "2048x2064"),
        ({"NUM_INFERENCE_STEPS": 201}, "0 to 200", "201"),
        ({"NUM_INFERENCE_STEPS": -1}, "0 to 200", "-1"),
        ({"STRENGTH": 0.0}, "above 0 and at most 1", "0.0"),
        ({"STRENGTH": 1.5}, "above 0 and at most 1", "1.5"),
        ({"STRENGTH": float("nan")}, "above 0 and at most 1", "nan"),
        ({"TRUE_CFG_SCALE": float("nan")}, "a finite number", "nan"),
        ({"PRIORITY": 2}, r"0 \(interactive\) or 1 \(batch\)", "2"),
        ({"MASK": MASK}, "IMAGE_1", "got 0"),
        ({"MASK": MASK, "IMAGE_1": PICTURE, "IMAGE_2": PICTURE}, "no other", "got 2"),
        ({"MASK": MASK.T, "IMAGE_1": PICTURE}, "as large as IMAGE_1, 12x8", "got 8x12"),
    ],
)
def test_a_refusal_names_the_limit_and_the_value(
    values: dict[str, Any], limit: str, value: str
) -> None:
    with pytest.raises(ValueError, match=limit) as refusal:
        read(**values)
    assert value in str(refusal.value)


@pytest.mark.parametrize(
    "values",
    [
        {"WIDTH": 16, "HEIGHT": 16},
        {"WIDTH": 2048, "HEIGHT": 2048},
        {"NUM_INFERENCE_STEPS": 0},
        {"NUM_INFERENCE_STEPS": 200},
        {"STRENGTH": 1.0},
    ],
)
def test_the_limits_themselves_are_allowed(values: dict[str, Any]) -> None:
    read(**values)


def test_adapters_are_read() -> None:
    assert read(ADAPTERS='{"removal": 1, "lightning": null}').adapters == {
        "removal": 1.0,
        "lightning": None,
    }
    assert read().adapters == read(ADAPTERS="").adapters == {}


def test_adapters_that_are_no_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="adapters are a JSON object"):
        read(ADAPTERS='["removal"]')


def test_a_size_between_the_steps_of_a_checkpoint_is_refused() -> None:
    manifest = {"size_multiple": 32, "inpaint_pipeline": None, "pipeline": "QwenImage21Pipeline"}
    check_model(read(WIDTH=96), manifest)
    with pytest.raises(ValueError, match="multiples of 32, got 80x64"):
        check_model(read(WIDTH=80), manifest)


def test_a_mask_is_refused_where_nothing_inpaints() -> None:
    job = read(WIDTH=16, HEIGHT=16, IMAGE_1=PICTURE, MASK=np.zeros((8, 12), np.uint8))
    check_model(job, {"inpaint_pipeline": "QwenImageInpaintPipeline"})
    with pytest.raises(ValueError, match="a QwenImageEditPlusPipeline paints no masks"):
        check_model(job, {"inpaint_pipeline": None, "pipeline": "QwenImageEditPlusPipeline"})


GENERATION = {"pipeline": "QwenImagePipeline", "inpaint_pipeline": "QwenImageInpaintPipeline"}
EDIT = {"pipeline": "QwenImageEditPlusPipeline", "inpaint_pipeline": None}


@pytest.mark.parametrize(
    ("manifest", "pictures", "says"),
    [
        (GENERATION, {"IMAGE_1": PICTURE}, "IMAGE_1 with a MASK alone, got 1"),
        (EDIT, {}, "an edit needs IMAGE_1"),
        (EDIT, {"IMAGE_1": PICTURE, "MASK": MASK}, "paints no masks"),
    ],
)
def test_pictures_that_the_checkpoint_has_no_use_for_are_refused(
    manifest: dict[str, Any], pictures: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        check_model(read(**pictures), manifest)


@pytest.mark.parametrize(
    ("manifest", "pictures"),
    [
        (GENERATION, {}),
        (GENERATION, {"IMAGE_1": PICTURE, "MASK": MASK}),
        (EDIT, {f"IMAGE_{n}": PICTURE for n in (1, 2, 3, 4)}),
    ],
)
def test_pictures_that_belong_to_the_task_are_taken(
    manifest: dict[str, Any], pictures: dict[str, Any]
) -> None:
    check_model(read(**pictures), manifest)


LATENTS = np.ones((16, 64), np.float32)


def test_a_saved_state_is_read() -> None:
    job = read(RESUME='{"step": 4, "of": "x"}', RESUME_LATENTS=LATENTS, SAVE_EVERY=4)
    assert job.save_every == 4
    assert job.saved is not None
    assert (job.saved.step, job.saved.of) == (4, "x")
    assert (job.saved.latents == LATENTS).all()
    assert read().saved is None


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (None, "come together"),
        ("[1]", "RESUME is"),
        ('{"step": 4}', "RESUME is"),
        ('{"step": 0, "of": "x"}', "behind step 1 or later, got 0"),
        ('{"step": "4", "of": "x"}', "behind step 1 or later, got '4'"),
        ('{"step": 50, "of": "x"}', "a job of 50 steps cannot go on behind step 50"),
        ("{", "Expecting"),
    ],
)
def test_a_malformed_state_is_refused(told: str | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read(RESUME=told, RESUME_LATENTS=LATENTS)


def test_a_state_without_latents_is_refused() -> None:
    with pytest.raises(ValueError, match="come together"):
        read(RESUME='{"step": 4, "of": "x"}')
