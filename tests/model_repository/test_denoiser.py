"""The denoising stage: requests of many jobs in one batch, each as if it were alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwen_serving.denoiser import TritonPythonModel
from tests.model_repository.backend_utils import InferenceRequest, TritonError
from tests.model_repository.in_process import (
    answers,
    error_code,
    largest_difference,
    load,
    request,
)


@pytest.fixture(scope="module")
def denoiser(generation: Path, version_of: Any) -> TritonPythonModel:
    return load(TritonPythonModel(), version_of(generation / "transformer"))


@pytest.fixture
def passes(denoiser: TritonPythonModel) -> Iterator[list[int]]:
    """Batch size of every forward pass from here on."""
    sizes: list[int] = []

    def record(_network: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        sizes.append(len(kwargs["hidden_states"]))

    hook = denoiser.network.register_forward_pre_hook(record, with_kwargs=True)
    yield sizes
    hook.remove()


def step(
    *,
    tokens: int = 5,
    shapes: tuple[tuple[int, int], ...] = ((4, 4),),
    seed: int = 0,
    **others: Any,
) -> InferenceRequest:
    """A step of one job; `shapes` in latent patches, the output first."""
    rng = np.random.default_rng(seed)
    patches = sum(h * w for h, w in shapes)
    inputs = {
        "HIDDEN_STATES": rng.standard_normal((1, patches, 64), np.float32),
        "TIMESTEP": rng.random((1, 1), np.float32),
        "ENCODER_HIDDEN_STATES": rng.standard_normal((1, tokens, 32), np.float32),
        "IMG_SHAPES": np.array([[(1, h, w) for h, w in shapes]], np.int32),
    }
    canceled = others.pop("canceled", False)
    chosen = {name: value for name, value in (inputs | others).items() if value is not None}
    return request(canceled=canceled, **chosen)


def test_texts_of_mixed_length_share_a_pass(denoiser: TritonPythonModel, passes: list[int]) -> None:
    batch = [step(tokens=tokens, seed=tokens) for tokens in (3, 11, 7, 11)]
    together = answers(denoiser, batch, "NOISE_PRED")
    assert passes == [4]
    for single, mixed in zip(batch, together, strict=True):
        assert largest_difference(answers(denoiser, [single], "NOISE_PRED")[0], mixed) < 1e-5


def test_the_answer_has_the_shape_of_the_latents(denoiser: TritonPythonModel) -> None:
    edit_step = step(shapes=((4, 6), (2, 2)))
    assert answers(denoiser, [edit_step], "NOISE_PRED")[0].shape == (1, 28, 64)


def test_picture_shapes_are_grouped(denoiser: TritonPythonModel, passes: list[int]) -> None:
    shapes = [((4, 4),), ((2, 8),), ((4, 4),), ((2, 2), (4, 3))]
    batch = [step(shapes=shape, seed=seed) for seed, shape in enumerate(shapes)]
    together = answers(denoiser, batch, "NOISE_PRED")
    assert sorted(passes) == [1, 1, 2]
    for single, mixed in zip(batch, together, strict=True):
        assert largest_difference(answers(denoiser, [single], "NOISE_PRED")[0], mixed) < 1e-5


def test_a_bad_text_fails_alone(denoiser: TritonPythonModel) -> None:
    bad = step(ENCODER_HIDDEN_STATES=np.zeros((1, 5, 7), np.float32))
    responses = denoiser.execute([step(), bad, step(tokens=2)])
    assert [error_code(r) for r in responses] == [None, TritonError.INTERNAL, None]
    assert "RuntimeError" in responses[1].error().message()


def test_mates_of_a_bad_request_are_unharmed(denoiser: TritonPythonModel) -> None:
    bad = step(ENCODER_HIDDEN_STATES=np.zeros((1, 5, 7), np.float32))
    mate = denoiser.execute([bad, step(seed=3)])[1].output_tensors()[0].as_numpy()
    assert largest_difference(answers(denoiser, [step(seed=3)], "NOISE_PRED")[0], mate) < 1e-5


def test_an_incomplete_request_is_refused(denoiser: TritonPythonModel) -> None:
    responses = denoiser.execute([step(IMG_SHAPES=None), step()])
    assert [error_code(r) for r in responses] == [TritonError.INVALID_ARG, None]
    assert "IMG_SHAPES" in responses[0].error().message()


def test_a_batched_request_is_refused(denoiser: TritonPythonModel, passes: list[int]) -> None:
    two = step(HIDDEN_STATES=np.zeros((2, 16, 64), np.float32))
    responses = denoiser.execute([two, step()])
    assert [error_code(r) for r in responses] == [TritonError.INVALID_ARG, None]
    assert passes == [1]


def test_a_canceled_request_is_not_run(denoiser: TritonPythonModel, passes: list[int]) -> None:
    responses = denoiser.execute([step(canceled=True), step()])
    assert [error_code(r) for r in responses] == [TritonError.CANCELLED, None]
    assert passes == [1]


def test_an_empty_batch_is_no_error(denoiser: TritonPythonModel) -> None:
    assert denoiser.execute([]) == []
