"""A pipeline's stand-in modules: what they send to the stages, and when."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLQwenImage
from tritonclient.utils import np_to_triton_dtype

from qwen_serving.job_errors import StageError
from qwen_serving.remote_modules import RemoteTextEncoder, RemoteTransformer, RemoteVae
from qwen_serving.stage_calls import StageCalls
from qwen_serving.stage_name import StageName
from qwen_serving.vae import Decoder, Encoder
from tests.model_repository.backend_utils import (
    SERVED,
    InferenceRequest,
    InferenceResponse,
    Tensor,
    TritonError,
)
from tests.model_repository.config_fit import config_of, misfits
from tests.model_repository.in_process import load

CALLS = StageCalls(torch.device("cpu"))
CONDITION, BLANK = torch.ones(1, 3, 32), torch.full((1, 2, 32), -2.0)


class Stage:
    """Remembers what it was sent; its answer tells the inputs apart."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.received: list[dict[str, np.ndarray]] = []

    def execute(self, requests: list[InferenceRequest]) -> list[InferenceResponse]:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in requests[0].inputs()}
        self.received.append(inputs)
        if self.output == "NOISE_PRED":
            result = inputs["HIDDEN_STATES"] + inputs["ENCODER_HIDDEN_STATES"].mean()
        else:
            result = np.zeros((1, inputs["INPUT_IDS"].shape[1], 32), np.float32)
        return [InferenceResponse([Tensor(self.output, result.astype(np.float32))])]


class BrokenStage:
    def execute(self, requests: list[InferenceRequest]) -> list[InferenceResponse]:
        return [InferenceResponse(error=TritonError("out of GPU memory"))]


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The models of this test's server."""
    models = {
        "qwen_image_transformer": Stage("NOISE_PRED"),
        "qwen_text_encoder": Stage("HIDDEN_STATES"),
    }
    for name, model in models.items():
        monkeypatch.setitem(SERVED, name, model)
    return models


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as one_thread:
        yield one_thread


@pytest.fixture
def transformer(generation: Path, executor: ThreadPoolExecutor) -> RemoteTransformer:
    folder = generation / "transformer"
    return RemoteTransformer(folder, StageName("qwen_image_transformer"), CALLS, executor)


def predict(
    transformer: RemoteTransformer, branch: str, latents: torch.Tensor, **others: Any
) -> torch.Tensor:
    """The call that diffusers makes for one branch of guidance."""
    inputs = {
        "timestep": torch.tensor([0.5]),
        "encoder_hidden_states": CONDITION if branch == "cond" else BLANK,
        "img_shapes": [[(1, 2, 2)]],
    }
    with transformer.cache_context(branch):
        return transformer(hidden_states=latents, **inputs | others)[0]


def all_done(executor: ThreadPoolExecutor) -> None:
    """Wait for what the only thread has been given."""
    executor.submit(int).result()


def sent(inputs: dict[str, np.ndarray]) -> dict[str, tuple[str, list[int]]]:
    return {n: (np_to_triton_dtype(a.dtype), list(a.shape)) for n, a in inputs.items()}


def test_the_first_step_asks_one_after_the_other(
    transformer: RemoteTransformer, served: dict[str, Any]
) -> None:
    stage, latents = served["qwen_image_transformer"], torch.zeros(1, 4, 64)
    predict(transformer, "cond", latents)
    assert len(stage.received) == 1
    assert torch.equal(predict(transformer, "uncond", latents), latents - 2)


def test_later_steps_send_the_unconditional_branch_ahead(
    transformer: RemoteTransformer, served: dict[str, Any], executor: ThreadPoolExecutor
) -> None:
    stage = served["qwen_image_transformer"]
    for value in (0.0, 1.0, 2.0):
        latents = torch.full((1, 4, 64), value)
        stage.received.clear()
        assert torch.equal(predict(transformer, "cond", latents), latents + 1)
        all_done(executor)
        assert len(stage.received) == (1 if value == 0 else 2)
        assert torch.equal(predict(transformer, "uncond", latents), latents - 2)
        assert len(stage.received) == 2


def test_without_guidance_nothing_is_sent_ahead(
    transformer: RemoteTransformer, served: dict[str, Any], executor: ThreadPoolExecutor
) -> None:
    for _ in range(3):
        predict(transformer, "cond", torch.zeros(1, 4, 64))
    all_done(executor)
    assert len(served["qwen_image_transformer"].received) == 3


def test_a_failure_sent_ahead_is_raised(
    transformer: RemoteTransformer, monkeypatch: pytest.MonkeyPatch, executor: ThreadPoolExecutor
) -> None:
    latents = torch.zeros(1, 4, 64)
    for branch in ("cond", "uncond", "cond"):
        predict(transformer, branch, latents)
    predict(transformer, "uncond", latents)
    monkeypatch.setitem(SERVED, "qwen_image_transformer", BrokenStage())
    with pytest.raises(StageError, match="qwen_image_transformer: out of GPU memory"):
        predict(transformer, "cond", latents)
    with pytest.raises(StageError, match="out of GPU memory"):
        predict(transformer, "uncond", latents)


def test_padding_of_the_text_stays_behind(
    transformer: RemoteTransformer, served: dict[str, Any]
) -> None:
    mask = torch.tensor([[1, 1, 0]])
    predict(transformer, "cond", torch.zeros(1, 4, 64), encoder_hidden_states_mask=mask)
    (received,) = served["qwen_image_transformer"].received
    assert received["ENCODER_HIDDEN_STATES"].shape == (1, 2, 32)


@pytest.mark.parametrize("guidance", [None, torch.tensor([3.5])])
def test_a_step_fits_the_config(
    transformer: RemoteTransformer, served: dict[str, Any], guidance: torch.Tensor | None
) -> None:
    shapes = [[(1, 2, 2), (1, 4, 2)]]
    predict(transformer, "cond", torch.zeros(1, 12, 64), img_shapes=shapes, guidance=guidance)
    (received,) = served["qwen_image_transformer"].received
    assert misfits(config_of("qwen_image_transformer"), sent(received)) == []
    assert received["IMG_SHAPES"].tolist() == [[[1, 2, 2], [1, 4, 2]]]


def test_adapters_go_with_both_branches(generation: Path, served: dict[str, Any]) -> None:
    stage, folder = served["qwen_image_transformer"], generation / "transformer"
    wanted = '{"removal": 1.0}'
    with ThreadPoolExecutor(1) as executor:
        transformer = RemoteTransformer(
            folder, StageName("qwen_image_transformer"), CALLS, executor, adapters=wanted
        )
        for branch in ("cond", "uncond", "cond", "uncond"):
            predict(transformer, branch, torch.zeros(1, 4, 64))
    assert len(stage.received) == 4
    for received in stage.received:
        assert received["ADAPTERS"].tolist() == [[wanted.encode()]]
        assert misfits(config_of("qwen_image_transformer"), sent(received)) == []


def test_a_prompt_with_a_picture_fits_the_config(edit: Path, served: dict[str, Any]) -> None:
    encoder = RemoteTextEncoder(edit / "text_encoder", StageName("qwen_text_encoder"), CALLS)
    ids = torch.zeros(1, 6, dtype=torch.long)
    pictures = {
        "pixel_values": torch.zeros(16, 1176),
        "image_grid_thw": torch.tensor([[1, 4, 4]]),
    }
    states = encoder(ids, torch.ones_like(ids), **pictures, output_hidden_states=True)
    assert states.hidden_states[-1].shape == (1, 6, 32)
    (received,) = served["qwen_text_encoder"].received
    assert misfits(config_of("qwen_text_encoder"), sent(received)) == []


def test_padded_prompts_are_refused(edit: Path) -> None:
    encoder = RemoteTextEncoder(edit / "text_encoder", StageName("qwen_text_encoder"), CALLS)
    with pytest.raises(ValueError, match="padding"):
        encoder(torch.zeros(1, 2, dtype=torch.long), torch.tensor([[1, 0]]))


@torch.inference_mode()
def test_the_vae_equals_diffusers(
    generation: Path, version_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = version_of(generation / "vae")
    monkeypatch.setitem(SERVED, "qwen_vae_encoder", load(Encoder(), folder))
    monkeypatch.setitem(SERVED, "qwen_vae_decoder", load(Decoder(), folder))
    halves = StageName("qwen_vae_encoder"), StageName("qwen_vae_decoder")
    remote = RemoteVae(generation / "vae", *halves, CALLS)
    local = AutoencoderKLQwenImage.from_pretrained(generation / "vae").eval()
    picture = torch.rand(1, 3, 1, 32, 48) * 2 - 1
    code = local.encode(picture).latent_dist.mode()
    assert torch.allclose(remote.encode(picture).latent_dist.mode(), code, atol=1e-5)
    assert torch.allclose(remote.decode(code)[0], local.decode(code).sample, atol=1e-5)
