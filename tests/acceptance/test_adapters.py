"""LoRA adapters on a real Triton: jobs with different ones at once, against plain diffusers."""

import json
import shutil
import warnings
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export_scripts.plain_pipeline import load_pipeline
from gateway.errors import InferenceError
from gateway.inference import PictureRequest
from gateway.triton_client import TritonBackend
from tests.acceptance.plain_diffusers import difference
from tests.acceptance.served import Served
from tests.random_adapters import TARGETS, WEIGHTS, save_random_adapters

JOBS: list[dict[str, Any]] = [
    {"adapters": {}, "true_cfg_scale": 1.0},
    {"adapters": {"removal": 1.0}, "true_cfg_scale": 1.0},
    {"adapters": {"removal": 0.5, "lightning": 1.5}, "true_cfg_scale": 1.0},
    {"adapters": {"white-balance": 1.0}, "true_cfg_scale": 3.0},
]
STEPS = 12
ALPHA = 60
"""So strong that the pictures differ by far more than what serving may change."""


@pytest.fixture(scope="module")
def adapted(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo repository with adapters beside the weights of its denoiser."""
    copy = tmp_path_factory.mktemp("adapted") / "model_repository"
    shutil.copytree(repository, copy)
    save_random_adapters(copy / "qwen_image_transformer" / "1" / "weights", alpha=ALPHA)
    manifest = copy / "qwen_image" / "1" / "pipeline" / "retouch.json"
    said = json.loads(manifest.read_text()) | {"adapters": sorted(TARGETS)}
    manifest.write_text(json.dumps(said))
    return copy


@pytest.fixture(scope="module")
def gateway(adapted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway of its own over that repository."""
    served = Served(tmp_path_factory.mktemp("served"), model_repository=adapted)
    try:
        served.wait_ready()
        yield served
    finally:
        served.stop()


def paint(
    repository: Path, *, seed: int, adapters: dict[str, float], true_cfg_scale: float
) -> np.ndarray:
    """The job in plain diffusers, with `load_lora_weights`."""
    pipeline = load_pipeline(repository, "qwen_image")
    folder = repository / "qwen_image_transformer" / "1" / "weights" / "adapters"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
        for name in adapters:
            pipeline.load_lora_weights(folder / name, adapter_name=name, weight_name=WEIGHTS)
    if adapters:
        pipeline.set_adapters(list(adapters), list(adapters.values()))
    picture = pipeline(
        prompt="a street at night",
        negative_prompt=" " if true_cfg_scale > 1 else None,
        true_cfg_scale=true_cfg_scale,
        width=256,
        height=256,
        num_inference_steps=STEPS,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="np",
    ).images[0]
    if adapters:
        pipeline.unload_lora_weights()
    return (picture * 255).round().astype(np.uint8)


@pytest.mark.timeout(300)
def test_concurrent_jobs_have_each_its_own_adapters(gateway: Served, adapted: Path) -> None:
    order = {"task": "generate", "prompt": "a street at night", "num_inference_steps": STEPS}
    gateway.finish(gateway.submit(**order))
    before = gateway.statistics("qwen_image_transformer")
    jobs = [gateway.submit(**order, **job, seed=5) for job in JOBS]
    ended = [gateway.finish(job) for job in jobs]
    after = gateway.statistics("qwen_image_transformer")
    assert [job["error"] for job in ended] == [None] * len(JOBS)
    # They met in Triton's batches, so that these were split inside.
    assert (after[0] - before[0]) / (after[1] - before[1]) > 1.5
    expected = [paint(adapted, seed=5, **job) for job in JOBS]
    for one, other in combinations(expected, 2):
        assert np.abs(one.astype(int) - other).max() > 10
    for job, picture in zip(jobs, expected, strict=True):
        served = gateway.http.get(job["urls"]["result"]).content
        assert difference(served, picture) <= 1


def test_models_show_the_adapters(gateway: Served) -> None:
    models = {model["id"]: model for model in gateway.http.get("/v1/models").json()["data"]}
    assert models["qwen_image"]["adapters"] == sorted(TARGETS)
    assert models["qwen_image_edit"]["adapters"] == []


def test_an_unknown_adapter_is_refused_at_submit(gateway: Served) -> None:
    order = {"task": "generate", "prompt": "a cat", "adapters": {"sepia": 1.0}}
    answer = gateway.http.post("/v1/jobs", json=order)
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_value")
    assert answer.json()["detail"].endswith("lightning, removal, white-balance.")


async def test_an_unknown_adapter_is_refused_by_the_denoiser_too(gateway: Served) -> None:
    """For those who ask Triton without the gateway."""
    backend = TritonBackend(gateway.triton["grpc"], segmentation_timeout_s=9, stall_timeout_s=30)
    order = PictureRequest(
        model="qwen_image",
        prompt="a cat",
        width=64,
        height=64,
        num_inference_steps=2,
        true_cfg_scale=1.0,
        seed=1,
        adapters={"sepia": 1.0},
    )
    try:
        with pytest.raises(InferenceError, match="'sepia'; there are: lightning, removal"):
            async for _ in backend.paint(order):
                pass
    finally:
        await backend.close()
