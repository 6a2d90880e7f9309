"""The text encoder stage against transformers, with and without pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

from qwen_serving.text_encoder import TritonPythonModel
from tests.model_repository.backend_utils import InferenceRequest, TritonError
from tests.model_repository.in_process import (
    answers,
    error_code,
    largest_difference,
    load,
    request,
)

PICTURE_TOKENS = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.fixture(scope="module")
def stage(edit: Path, version_of: Any) -> TritonPythonModel:
    return load(TritonPythonModel(), version_of(edit / "text_encoder"))


@pytest.fixture(scope="module")
def network(edit: Path) -> Any:
    """transformers' own class."""
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(edit / "text_encoder").eval()


@pytest.fixture(scope="module")
def processor(edit: Path) -> Any:
    return AutoProcessor.from_pretrained(edit / "processor")


def prompt(processor: Any, text: str, *pictures: Image.Image) -> dict[str, torch.Tensor]:
    """Inputs as the edit pipeline makes them, and the kind of every token."""
    words = PICTURE_TOKENS * len(pictures) + text
    inputs = processor(text=[words], images=list(pictures) or None, return_tensors="pt")
    is_picture = inputs["input_ids"] == processor.image_token_id
    return {**inputs, "mm_token_type_ids": is_picture.int()}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def as_request(inputs: dict[str, torch.Tensor]) -> InferenceRequest:
    sent = {"INPUT_IDS": inputs["input_ids"].numpy()}
    if "pixel_values" in inputs:
        sent["PIXEL_VALUES"] = inputs["pixel_values"][None].numpy()
        sent["IMAGE_GRID_THW"] = inputs["image_grid_thw"][None].numpy()
    return request(**sent)


@torch.inference_mode()
def last_states(network: Any, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    return network(**inputs, output_hidden_states=True).hidden_states[-1].numpy()


def test_a_text_equals_transformers(stage: Any, network: Any, processor: Any) -> None:
    inputs = prompt(processor, "a photo of a red cat")
    (states,) = answers(stage, [as_request(inputs)], "HIDDEN_STATES")
    assert largest_difference(states, last_states(network, inputs)) < 1e-5


def test_positions_of_pictures_matter(network: Any, processor: Any) -> None:
    inputs = prompt(processor, "remove the dog", noise(112, 84))
    plain = {name: value for name, value in inputs.items() if name != "mm_token_type_ids"}
    assert largest_difference(last_states(network, inputs), last_states(network, plain)) > 1e-3


@pytest.mark.parametrize("sizes", [[(112, 84)], [(112, 84), (56, 140)]])
def test_pictures_equal_transformers(
    stage: Any, network: Any, processor: Any, sizes: list[tuple[int, int]]
) -> None:
    inputs = prompt(processor, "remove the dog", *(noise(*size) for size in sizes))
    (states,) = answers(stage, [as_request(inputs)], "HIDDEN_STATES")
    assert largest_difference(states, last_states(network, inputs)) < 1e-5


def test_a_mixed_batch_equals_singles(stage: Any, processor: Any) -> None:
    batch = [
        as_request(inputs)
        for inputs in (
            prompt(processor, "a photo of a cat"),
            prompt(processor, "add a cat", noise(112, 84, seed=1)),
            prompt(processor, "a photo of a dog"),
            prompt(processor, "add a dog", noise(84, 112, seed=2)),
            prompt(processor, "a street"),
        )
    ]
    together = answers(stage, batch, "HIDDEN_STATES")
    for single, mixed in zip(batch, together, strict=True):
        assert largest_difference(answers(stage, [single], "HIDDEN_STATES")[0], mixed) < 1e-5


def test_a_picture_leaves_no_trace_in_the_next_request(stage: Any, processor: Any) -> None:
    text = as_request(prompt(processor, "a photo of a cat"))
    (before,) = answers(stage, [text], "HIDDEN_STATES")
    answers(stage, [as_request(prompt(processor, "add a cat", noise(112, 84)))], "HIDDEN_STATES")
    (after,) = answers(stage, [text], "HIDDEN_STATES")
    assert np.array_equal(before, after)


def test_two_texts_in_one_request_are_refused(stage: Any) -> None:
    two, one = (request(INPUT_IDS=np.zeros((n, 4), np.int64)) for n in (2, 1))
    assert [error_code(r) for r in stage.execute([two, one])] == [TritonError.INVALID_ARG, None]
