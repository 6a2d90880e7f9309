"""`client.images.generate` of the stock SDK."""

from __future__ import annotations

import pytest

from gateway.errors import DoesNotFitError
from tests.gateway.openai_images.conftest import Sdk, file, hole, image_format, pixels
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo


async def test_a_picture_comes_back(sdk: Sdk) -> None:
    answer = await sdk.client.images.generate(prompt="a cat", model="gpt-image-1")
    assert answer.data is not None
    assert pixels(answer.data[0].b64_json).shape == (64, 64, 3)
    assert (answer.size, answer.quality, answer.output_format) == ("64x64", "auto", "png")
    assert answer.background == "opaque"
    assert answer.created > 1_700_000_000
    assert answer.usage is not None
    assert answer.usage.output_tokens == answer.usage.total_tokens == 16


async def test_several_pictures_have_their_own_seeds(sdk: Sdk) -> None:
    answer = await sdk.client.images.generate(prompt="a cat", n=3, extra_body={"seed": 40})
    assert [image.seed for image in answer.data or []] == [40, 41, 42]  # type: ignore[attr-defined]
    assert [pixels(image.b64_json)[0, 0, 0] for image in answer.data or []] == [40, 41, 42]


async def test_the_extensions_reach_the_model(sdk: Sdk) -> None:
    extra = {
        "negative_prompt": "dogs",
        "seed": 7,
        "num_inference_steps": 3,
        "true_cfg_scale": 2.5,
    }
    await sdk.client.images.generate(prompt="a cat", size="96x64", extra_body=extra)
    request = sdk.gateway.backend.painted[-1]
    assert (request.width, request.height) == (96, 64)
    assert {name: getattr(request, name) for name in extra} == extra


@pytest.mark.parametrize(("quality", "steps"), [("low", 1), ("medium", 2), ("high", 4)])
async def test_quality_stands_for_steps_and_is_reported(sdk: Sdk, quality: str, steps: int) -> None:
    answer = await sdk.client.images.generate(prompt="a cat", quality=quality)  # type: ignore[call-overload]
    assert answer.quality == quality
    assert answer.parameters["num_inference_steps"] == steps
    assert sdk.gateway.backend.painted[-1].num_inference_steps == steps


@pytest.mark.parametrize(("asked", "got"), [("jpeg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
async def test_the_format_is_the_one_asked_for(sdk: Sdk, asked: str, got: str) -> None:
    answer = await sdk.client.images.generate(prompt="a cat", output_format=asked)  # type: ignore[call-overload]
    assert image_format(answer.data[0].b64_json) == got
    assert answer.output_format == asked


async def test_compression_makes_the_file_smaller(sdk: Sdk) -> None:
    sizes = []
    for compression in (100, 5):
        answer = await sdk.client.images.edit(
            image=file(photo()),
            prompt="x",
            output_format="jpeg",
            output_compression=compression,
            mask=file(hole(20, 20, 60, 60)),
        )
        sizes.append(len(answer.data[0].b64_json or ""))  # type: ignore[index]
    assert sizes[1] < sizes[0] / 2


async def test_a_url_leads_to_the_picture(sdk: Sdk) -> None:
    answer = await sdk.client.images.generate(
        prompt="a cat", response_format="url", output_format="webp"
    )
    url = (answer.data or [])[0].url
    assert url is not None
    response = await sdk.http.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/webp"


@pytest.mark.parametrize("scale", ["true_cfg_scale", "guidance_scale"])
async def test_either_name_of_guidance_counts(sdk: Sdk, scale: str) -> None:
    await sdk.client.images.generate(prompt="a cat", extra_body={scale: 3.5})
    assert sdk.gateway.backend.painted[-1].true_cfg_scale == 3.5


async def test_user_is_kept_with_the_job(sdk: Sdk) -> None:
    answer = await sdk.client.images.generate(prompt="a cat", user="u-17")
    job = (await sdk.http.get(f"/v1/jobs/{answer.id}")).json()  # type: ignore[attr-defined]
    assert job["metadata"] == {"user": "u-17"}


async def test_unknown_fields_give_a_warning(sdk: Sdk) -> None:
    answer = await sdk.client.images.generate(prompt="a cat", extra_body={"brightness": 3})
    assert any("'brightness'" in text for text in answer.warnings)  # type: ignore[attr-defined]


REFUSED = [
    ("n", 11),
    ("n", 0),
    ("size", "banana"),
    ("size", "100x100"),
    ("quality", "ultra"),
    ("output_format", "gif"),
    ("background", "transparent"),
    ("partial_images", 4),
    ("partial_images", 2),
    ("output_compression", 50),
    ("response_format", "file"),
    ("moderation", "high"),
    ("style", "vivid"),
    ("complexity", "low"),
    ("frame_count", 4),
    ("seed", -1),
    ("num_inference_steps", 0),
    ("true_cfg_scale", 100),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
async def test_a_field_that_cannot_be_honoured_is_refused_by_name(
    sdk: Sdk, field: str, value: object
) -> None:
    error = await sdk.refused("generate", prompt="a cat", extra_body={field: value})
    assert error.status_code == 400
    assert error.code in ("unsupported_value", "unsupported_size")
    assert error.param == field
    assert not sdk.gateway.backend.painted


@pytest.mark.parametrize("extra", [{"guidance_scale": 2, "true_cfg_scale": 3}])
async def test_two_words_for_one_thing_must_agree(sdk: Sdk, extra: dict[str, float]) -> None:
    error = await sdk.refused("generate", prompt="a cat", extra_body=extra)
    assert (error.status_code, error.param) == (400, "guidance_scale")


async def test_an_empty_prompt_is_refused(sdk: Sdk) -> None:
    error = await sdk.refused("generate", prompt="")
    assert (error.status_code, error.param) == (400, "prompt")


async def test_an_unknown_model_is_not_found(sdk: Sdk) -> None:
    error = await sdk.refused("generate", prompt="a cat", model="flux")
    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")


async def test_a_model_for_something_else_is_refused(sdk: Sdk) -> None:
    error = await sdk.refused("generate", prompt="a cat", model="fastsam")
    assert (error.status_code, error.code, error.param) == (400, "unsupported_value", "model")


async def test_a_failed_job_tells_why_and_is_not_tried_again(sdk: Sdk) -> None:
    sdk.gateway.backend.failure = DoesNotFitError("It needs 90 GB.")
    again = sdk.client.with_options(max_retries=2)
    error = await Sdk(again, sdk.http, sdk.gateway).refused("generate", prompt="a cat")
    assert error.status_code == 507
    assert (error.code, error.type) == ("does_not_fit", "server_error")
    assert error.response.headers["x-should-retry"] == "false"
    assert error.request_id == error.response.headers["x-request-id"]
    assert len(sdk.gateway.backend.painted) == 1


async def test_variations_are_not_done(sdk: Sdk) -> None:
    response = await sdk.http.post("/v1/images/variations", files={"image": photo()})
    assert response.status_code == 501
    assert response.headers["x-should-retry"] == "false"
    assert assert_problem(response)["code"] == "not_supported"


async def test_models_are_listed(sdk: Sdk) -> None:
    models = [model async for model in sdk.client.models.list()]
    assert {model.id for model in models} >= {"qwen_image", "qwen_image_edit", "fastsam"}
    one = await sdk.client.models.retrieve("qwen_image")
    assert (one.object, one.owned_by) == ("model", "retouch")


async def test_respond_async_gives_the_job(sdk: Sdk) -> None:
    answer = await sdk.client.images.with_raw_response.generate(
        prompt="a cat", extra_headers={"Prefer": "respond-async"}
    )
    assert answer.status_code == 202
    assert answer.headers["location"].startswith("/v1/jobs/job_")
    job = (await sdk.http.get(answer.headers["location"], params={"wait": 20})).json()
    assert job["status"] == "succeeded"


async def test_a_short_wait_gives_the_job_a_long_one_the_picture(sdk: Sdk) -> None:
    sdk.gateway.backend.step_s = 0.2
    short = await sdk.http.post(
        "/v1/images/generations", json={"prompt": "a cat"}, headers={"Prefer": "wait=0"}
    )
    assert (short.status_code, short.json()["object"]) == (202, "job")
    long = await sdk.http.post(
        "/v1/images/generations", json={"prompt": "a cat"}, headers={"Prefer": "wait=60"}
    )
    assert (long.status_code, len(long.json()["data"])) == (200, 1)
