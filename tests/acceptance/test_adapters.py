"""LoRA adapters on a real Triton: jobs with different ones at once, against plain diffusers."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import InferenceError
from tests.acceptance.direct_jobs import DirectJob, run_jobs, small_request
from tests.acceptance.plain_diffusers import difference, paint
from tests.acceptance.served import Served
from tests.random_adapters import TARGETS

JOBS: list[dict[str, Any]] = [
    {"adapters": {}, "true_cfg_scale": 1.0},
    {"adapters": {"removal": 1.0}, "true_cfg_scale": 1.0},
    {"adapters": {"removal": 0.5, "lightning": 1.5}, "true_cfg_scale": 1.0},
    {"adapters": {"white-balance": 1.0}, "true_cfg_scale": 3.0},
]
STEPS = 12


@pytest.fixture
def gateway(adapted_gateway: Served) -> Served:
    return adapted_gateway


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
    expected = [
        paint("a street at night", seed=5, steps=STEPS, repository=adapted, **job) for job in JOBS
    ]
    for one, other in combinations(expected, 2):
        assert np.abs(one.astype(int) - other).max() > 10
    for job, picture in zip(jobs, expected, strict=True):
        served = gateway.http.get(job["urls"]["result"]).content
        assert difference(served, picture) <= 1


def test_models_show_the_adapters(gateway: Served) -> None:
    models = {model["id"]: model for model in gateway.http.get("/v1/models").json()["data"]}
    assert models["qwen_image"]["adapters"] == sorted(TARGETS)
    assert models["qwen_image_edit"]["adapters"] == sorted(TARGETS)


def test_an_unknown_adapter_is_refused_at_submit(gateway: Served) -> None:
    order = {"task": "generate", "prompt": "a cat", "adapters": {"sepia": 1.0}}
    answer = gateway.http.post("/v1/jobs", json=order)
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_value")
    assert answer.json()["detail"].endswith("lightning, removal, white-balance.")


def test_an_unknown_adapter_is_refused_by_the_denoiser_too(gateway: Served) -> None:
    """For those who ask Triton without the gateway."""
    order = small_request(adapters={"sepia": 1.0})
    with pytest.raises(InferenceError, match="'sepia'; there are: lightning, removal"):
        run_jobs(gateway.triton["grpc"], [DirectJob(request=order)])
