"""The estimate of a job's memory: never below what a pass takes, and monotonous."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qwen_serving.job_request import JobRequest
from qwen_serving.memory_estimate import (
    CheckpointShape,
    describe,
    encoded_sizes,
    job_bytes,
    tokens_of,
    transformer_bytes,
    vae_bytes,
    vae_graph_bytes,
)
from tests.model_repository.memory_peaks import peak_bytes, within

CONFIGS: dict[str, Any] = {
    "transformer": {"num_attention_heads": 24, "attention_head_dim": 128},
    "vae": {"base_dim": 96},
    "text_encoder": {"hidden_size": 3584, "intermediate_size": 18944},
    "manifest": {},
}
SHAPE = CheckpointShape(**CONFIGS)
SMALL = JobRequest(
    prompt="a cat",
    negative_prompt="",
    width=512,
    height=512,
    num_inference_steps=4,
    true_cfg_scale=1.0,
    seed=1,
    strength=1.0,
    preview_every=0,
    adapters={},
    images=(),
    mask=None,
)
sides = st.integers(1, 128).map(lambda steps: 16 * steps)


def need(request: JobRequest, *, tiling_min_side: int = 1536, number_bytes: int = 2) -> int:
    return job_bytes(SHAPE, request, number_bytes=number_bytes, tiling_min_side=tiling_min_side)


@pytest.mark.parametrize("text_tokens", [64, 512])
def test_a_denoising_step_takes_no_more_than_estimated(text_tokens: int) -> None:
    config = {"num_attention_heads": 8, "attention_head_dim": 64}
    network = diffusers.QwenImageTransformer2DModel(
        **config,
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=1,
        joint_attention_dim=64,
        axes_dims_rope=(8, 28, 28),
    ).eval()
    picture = torch.randn(1, 64 * 64, 64)
    text = torch.randn(1, text_tokens, 64)

    def step() -> object:
        return network(
            hidden_states=picture,
            timestep=torch.ones(1),
            encoder_hidden_states=text,
            img_shapes=[[(1, 64, 64)]],
            return_dict=False,
        )

    step()
    within(transformer_bytes(config, 64 * 64, text_tokens, 4), peak_bytes(step))


@pytest.mark.parametrize("half", ["encode", "decode"])
def test_a_half_of_the_vae_takes_no_more_than_estimated(half: str) -> None:
    width, height = 448, 384
    network = diffusers.AutoencoderKLQwenImage(base_dim=32, z_dim=16).eval()
    picture = torch.rand(1, 3, 1, height, width)
    latents = torch.randn(1, 16, 1, height // 8, width // 8)
    work = {"encode": lambda: network.encode(picture), "decode": lambda: network.decode(latents)}
    work[half]()
    within(vae_bytes({"base_dim": 32}, width, height, 0, 4), peak_bytes(work[half]))


@given(sides, sides, sides, st.integers(0, 100))
def test_a_larger_picture_or_a_longer_prompt_never_needs_less(
    width: int, height: int, more: int, letters: int
) -> None:
    request = replace(SMALL, width=width, height=height)
    base = need(request)
    assert need(replace(request, width=width + more)) > base
    assert need(replace(request, height=height + more)) > base
    assert need(replace(request, prompt="a cat" + "t" * letters)) >= base


@given(st.integers(0, 3), st.tuples(st.integers(2, 60), st.integers(2, 60)))
def test_every_reference_needs_more(count: int, sides: tuple[int, int]) -> None:
    image = np.zeros((*sides, 3), np.uint8)
    fewer = replace(SMALL, images=(image,) * count)
    assert need(replace(SMALL, images=(image,) * (count + 1))) > need(fewer)


def test_guidance_needs_a_second_row() -> None:
    row = transformer_bytes(CONFIGS["transformer"], 1024, 5, 2)
    assert need(replace(SMALL, true_cfg_scale=4.0)) - need(SMALL) == row


def test_tiles_bound_the_vae() -> None:
    large = replace(SMALL, width=2048, height=2048)
    assert need(large, tiling_min_side=1024) < need(large, tiling_min_side=0)
    assert need(SMALL, tiling_min_side=1024) == need(SMALL, tiling_min_side=0)


def test_graphs_know_no_tiles_and_hold_their_scores() -> None:
    settings = {"settings": {"vae_decoder": {"engine": "onnx"}}}
    shape = replace(SHAPE, manifest=settings)
    large = replace(SMALL, width=2048, height=2048)
    in_graphs = job_bytes(shape, large, number_bytes=2, tiling_min_side=1024)
    scores = 2 * (256 * 256) ** 2 * 4
    twice_as_wide = vae_bytes(SHAPE.vae, 2048, 2048, 0, 2)
    assert in_graphs == need(large, tiling_min_side=0) + twice_as_wide + scores


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_a_graph_of_the_vae_takes_no_more_than_estimated(repository: Path, half: str) -> None:
    graph = repository / f"qwen_vae_{half}" / "1" / "model.onnx"
    config = json.loads((graph.parent / "weights" / "config.json").read_text())
    session = onnxruntime.InferenceSession(str(graph))
    side = 768
    shape = {"encoder": (1, 3, 1, side, side), "decoder": (1, 16, 1, side // 8, side // 8)}[half]
    inputs = {session.get_inputs()[0].name: np.zeros(shape, np.float32)}
    small = {name: array[..., :16, :16] for name, array in inputs.items()}
    session.run(None, small)
    measured = peak_bytes(lambda: session.run(None, inputs))
    within(vae_graph_bytes(config, side, side), measured)


def test_half_precision_needs_half() -> None:
    assert need(SMALL, number_bytes=4) == 2 * need(SMALL, number_bytes=2)


def test_an_inpainting_is_encoded_at_its_own_size_and_has_no_references() -> None:
    image = np.zeros((512, 512, 3), np.uint8)
    request = replace(SMALL, images=(image,), mask=image[..., 0])
    assert encoded_sizes(SHAPE, request) == [(512, 512)]
    assert describe(request) == "A 512x512 picture"


def test_a_job_is_described_in_words() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    assert describe(replace(SMALL, images=(image,))) == "A 512x512 picture with 1 reference"
    assert describe(replace(SMALL, images=(image,) * 3)) == "A 512x512 picture with 3 references"


def test_tokens_are_of_16_pixels_a_side() -> None:
    assert tokens_of(1024, 1024) == 4096
    assert tokens_of(1024, 1008) == 4032


def test_an_exported_pipeline_can_be_read(generation: Path, tmp_path: Path) -> None:
    for part in ("transformer", "vae", "text_encoder"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(
            (generation / part / "config.json").read_text()
        )
    (tmp_path / "retouch.json").write_text(json.dumps({"demo": True}))
    shape = CheckpointShape.load(tmp_path)
    assert job_bytes(shape, SMALL, number_bytes=4, tiling_min_side=0) > 0
