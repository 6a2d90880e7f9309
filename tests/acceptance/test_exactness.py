"""With `determinism: exact` a picture does not depend on the jobs beside it, not by a bit."""

import io

import numpy as np
from PIL import Image

from tests.acceptance.served import Served

STEPS = 12
ORDER = {"task": "generate", "num_inference_steps": STEPS, "size": "128x128"}
OTHERS = ["a cup", "an elephant in a long corridor of mirrors", "rain on glass"]


def pixels(gateway: Served, job: dict[str, object]) -> np.ndarray:
    ended = gateway.finish(job)
    assert ended["status"] == "succeeded", ended["error"]
    png = gateway.http.get(ended["urls"]["result"]).content
    return np.asarray(Image.open(io.BytesIO(png)))


def test_an_exact_job_amid_others_equals_the_same_job_alone(gateway: Served) -> None:
    exact = ORDER | {"prompt": "a heron", "seed": 3, "determinism": "exact", "true_cfg_scale": 3}
    alone = pixels(gateway, gateway.submit(**exact))
    others = [
        gateway.submit(**ORDER, prompt=prompt, seed=seed) for seed, prompt in enumerate(OTHERS)
    ]
    amid = gateway.submit(**exact)
    assert np.array_equal(pixels(gateway, amid), alone)
    assert all(gateway.finish(job)["status"] == "succeeded" for job in others)
    assert amid["parameters"]["determinism"] == "exact"


def test_equal_exact_jobs_at_once_are_equal(gateway: Served) -> None:
    exact = ORDER | {"prompt": "two herons", "seed": 4, "determinism": "exact"}
    pictures = [pixels(gateway, job) for job in [gateway.submit(**exact) for _ in range(3)]]
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])


def test_exact_and_batched_jobs_share_no_cached_answer(gateway: Served) -> None:
    order = ORDER | {"prompt": "a heron that nobody asked for before", "seed": 5}
    runs = [{}, {"determinism": "exact"}, {"determinism": "exact"}, {}]
    ended = [gateway.finish(gateway.submit(**order, **run)) for run in runs]
    cached = [job["timings"]["stages"]["text_encoder"]["cached"] for job in ended]
    assert cached == [0, 0, 1, 1]
