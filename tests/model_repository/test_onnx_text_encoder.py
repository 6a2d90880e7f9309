"""The text encoder stage with an ONNX language model against the same stage in torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoProcessor

from export_scripts.text_encoder_graph import export_text_encoder
from qwen_serving.onnx_text_encoder import TritonPythonModel as OnnxTextEncoder
from qwen_serving.text_encoder import TritonPythonModel as TextEncoder
from tests.model_repository.backend_utils import InferenceRequest, TritonError
from tests.model_repository.in_process import (
    answers,
    error_code,
    largest_difference,
    load,
    request,
)
from tests.model_repository.versions import write_version

PICTURE_TOKENS = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.fixture(scope="module")
def in_torch(edit: Path, version_of: Any) -> Any:
    return load(TextEncoder(), version_of(edit / "text_encoder"))


@pytest.fixture(scope="module")
def in_onnx(edit: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_version(
        tmp_path_factory.mktemp("onnx"),
        edit / "text_encoder",
        engine="onnx",
        warm_up=[{"width": 64, "height": 64}],
    )
    export_text_encoder(edit / "text_encoder", folder / "1" / "model.onnx")
    return load(OnnxTextEncoder(), folder)


@pytest.fixture(scope="module")
def processor(edit: Path) -> Any:
    return AutoProcessor.from_pretrained(edit / "processor")


def ask(processor: Any, text: str, *sizes: tuple[int, int]) -> InferenceRequest:
    """A prompt with pictures of noise of these sizes, as the edit pipeline sends it."""
    rng = np.random.default_rng(len(text))
    pictures = [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        for width, height in sizes
    ]
    words = PICTURE_TOKENS * len(pictures) + text
    inputs = processor(text=[words], images=pictures or None, return_tensors="np")
    sent = {"INPUT_IDS": inputs["input_ids"].astype(np.int64)}
    if pictures:
        sent["PIXEL_VALUES"] = inputs["pixel_values"][None].astype(np.float32)
        sent["IMAGE_GRID_THW"] = inputs["image_grid_thw"][None].astype(np.int64)
    return request(**sent)


@pytest.mark.parametrize("sizes", [(), ((112, 84),), ((112, 84), (56, 140), (84, 84))])
def test_answers_equal_torch(
    in_torch: Any, in_onnx: Any, processor: Any, sizes: tuple[tuple[int, int], ...]
) -> None:
    one = ask(processor, "remove the dog on the table", *sizes)
    answer, right = (answers(model, [one], "HIDDEN_STATES")[0] for model in (in_onnx, in_torch))
    assert largest_difference(answer, right) < 1e-5


def test_a_mixed_batch_equals_singles(in_onnx: Any, processor: Any) -> None:
    batch = [
        ask(processor, "a photo of a cat"),
        ask(processor, "add a cat", (112, 84)),
        ask(processor, "a photo of a dog"),
        ask(processor, "add a dog", (84, 112)),
        ask(processor, "a street"),
    ]
    together = answers(in_onnx, batch, "HIDDEN_STATES")
    for one, mixed in zip(batch, together, strict=True):
        assert largest_difference(answers(in_onnx, [one], "HIDDEN_STATES")[0], mixed) < 1e-5


def test_pictures_without_their_tokens_are_refused(in_onnx: Any, processor: Any) -> None:
    inputs = {t.name(): t.as_numpy() for t in ask(processor, "x", (112, 84)).inputs()}
    inputs["INPUT_IDS"] = inputs["INPUT_IDS"][:, -1:]
    (response,) = in_onnx.execute([request(**inputs)])
    assert error_code(response) == TritonError.INTERNAL
    assert "0 picture tokens, the pictures make" in response.error().message()


def test_two_texts_in_one_request_are_refused(in_onnx: Any) -> None:
    two, one = (request(INPUT_IDS=np.zeros((n, 4), np.int64)) for n in (2, 1))
    responses = in_onnx.execute([two, one])
    assert [error_code(response) for response in responses] == [TritonError.INVALID_ARG, None]
