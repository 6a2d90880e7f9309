"""Painting jobs of a batch benchmark: what they ask for, and how a client gets them served."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from benchmarks.workloads.clicks import photograph
from preprocessing.codec import encode_png

WAIT_S = 100
JOB_TIMEOUT_S = 900.0
PROMPTS = (
    "a lighthouse",
    "a red fox in deep snow",
    "an old harbour at dawn, fishing boats, light fog",
    "a bowl of lemons on a blue table, soft light from a window on the left",
    "a street in the rain at night, neon signs mirrored in puddles, people with umbrellas",
    "a glass greenhouse full of ferns and orchids, a gardener with a straw hat waters them",
    "a wide valley in autumn seen from above, a river that winds through yellow birches, two "
    "hikers rest on a rock in the foreground",
    "a workshop of a violin maker, half finished instruments hang from the ceiling, shavings on "
    "the floor, warm afternoon light falls through a dusty window onto the bench",
)
"""Of different lengths, so that batches are ragged."""


@dataclass(frozen=True, kw_only=True)
class PaintJob:
    """One picture to paint, without guidance: one forward pass per step."""

    task: str
    prompt: str
    seed: int
    side: int
    steps: int
    exact: bool = False
    """Whether its passes are its own (`determinism: exact`)."""

    def picture(self) -> npt.NDArray[np.uint8] | None:
        """The picture that an edit starts from."""
        return photograph("coffee", self.side) if self.task == "edit" else None


@dataclass(frozen=True)
class ServedJobs:
    """Jobs that ran at the same time."""

    wall_s: float
    """From the first request to the last answer."""
    first_picture: npt.NDArray[np.uint8]


def jobs_of(task: str, count: int, *, side: int, steps: int) -> list[PaintJob]:
    """`count` jobs that differ in prompt and seed."""
    prompts = [PROMPTS[index % len(PROMPTS)] for index in range(count)]
    return [
        PaintJob(task=task, prompt=prompt, seed=seed, side=side, steps=steps)
        for seed, prompt in enumerate(prompts)
    ]


def run_served(url: str, jobs: list[PaintJob]) -> ServedJobs:
    """Submit all jobs at once and wait for every one.

    Raises:
        RuntimeError: a job did not succeed in time.
    """
    return asyncio.run(_run_served(url, jobs))


async def _run_served(url: str, jobs: list[PaintJob]) -> ServedJobs:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=WAIT_S + 30) as client:
        image = await _uploaded(client, jobs[0])
        started = time.perf_counter()
        ended = await asyncio.gather(*(_finish(client, job, image) for job in jobs))
        wall = time.perf_counter() - started
        png = (await client.get(ended[0]["output"][0]["url"])).raise_for_status().content
    return ServedJobs(wall, np.asarray(PillowImage.open(io.BytesIO(png)).convert("RGB")))


async def _uploaded(client: httpx.AsyncClient, job: PaintJob) -> str | None:
    picture = job.picture()
    if picture is None:
        return None
    answer = await client.post("/v1/files", files={"file": encode_png(picture)})
    return str(answer.raise_for_status().json()["id"])


async def _finish(client: httpx.AsyncClient, job: PaintJob, image: str | None) -> dict[str, Any]:
    body = {
        "task": job.task,
        "prompt": job.prompt,
        "seed": job.seed,
        "size": f"{job.side}x{job.side}",
        "num_inference_steps": job.steps,
        "true_cfg_scale": 1,
        "image": image,
        "determinism": "exact" if job.exact else "batched",
    }
    async with asyncio.timeout(JOB_TIMEOUT_S):
        answer = await client.post("/v1/jobs", json=body, headers={"Prefer": f"wait={WAIT_S}"})
        while answer.is_success and answer.json()["status"] in ("queued", "running"):
            answer = await client.get(answer.json()["urls"]["self"], params={"wait": WAIT_S})
    if not answer.is_success or answer.json()["status"] != "succeeded":
        raise RuntimeError(f"a job failed: {answer.status_code} {answer.text[:500]}")
    ended: dict[str, Any] = answer.json()
    return ended
