"""What it costs to keep a job's latents on the way, so that a restart goes on from them.

    python -m benchmarks.kept_states --output perf/kept_states.md

Jobs at Triton itself, which hands out the latents every so many steps; rounds take turns. Keeping
them is timed apart: a file for each state, as a gateway with a local folder writes it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.reporting.figures import spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import served_gateway
from gateway.inference import GENERATION_MODEL, PictureRequest, SavedState, StepDone
from gateway.painting.saved_states import SavedStates
from gateway.storage.object_store import ObjectStore
from gateway.triton.triton_client import TritonBackend

EVERY = (0, 5, 1)
HEADERS = ["size", "a state every", "job s", "state KiB", "to keep one ms"]


@dataclass(frozen=True)
class Cost:
    """Of jobs of one size that hand out a state every so many steps."""

    size: int
    every: int
    job_s: list[float]
    state_bytes: int
    keep_ms: list[float]

    def row(self) -> list[str]:
        """For the table."""
        return [
            f"{self.size} x {self.size}",
            f"{self.every} steps" if self.every else "never",
            spread(self.job_s).show(),
            f"{self.state_bytes / 1024:.0f}" if self.every else "-",
            spread(self.keep_ms).show(1) if self.every else "-",
        ]


async def paint(
    backend: TritonBackend, size: int, steps: int, every: int
) -> tuple[float, list[SavedState]]:
    """Seconds of a job, and its states."""
    request = PictureRequest(
        model=GENERATION_MODEL,
        prompt="a lighthouse",
        width=size,
        height=size,
        num_inference_steps=steps,
        true_cfg_scale=1.0,
        seed=1,
        save_every=every,
    )
    began, states = time.perf_counter(), []
    events: Any = backend.paint(request)
    async with aclosing(events) as stream:
        async for event in stream:
            states += [event.state] if isinstance(event, StepDone) and event.state else []
    return time.perf_counter() - began, states


async def keep_ms(states: list[SavedState]) -> list[float]:
    """Milliseconds that each takes to be written to a folder."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        kept = SavedStates(ObjectStore.at(folder), every=1)
        for state in states:
            began = time.perf_counter()
            await kept.keep("job_1", 0, state)
            found.append(1000 * (time.perf_counter() - began))
    return found


async def measure(triton_url: str, sizes: list[int], steps: int, rounds: int) -> list[Cost]:
    """All sizes and intervals, in turns."""
    backend = TritonBackend(triton_url, segmentation_timeout_s=9, stall_timeout_s=120)
    costs = []
    try:
        for size in sizes:
            taken: dict[int, list[float]] = {every: [] for every in EVERY}
            states: dict[int, list[SavedState]] = {}
            await paint(backend, size, steps, 0)
            for _ in range(rounds):
                for every in EVERY:
                    seconds, states[every] = await paint(backend, size, steps, every)
                    taken[every].append(seconds)
            for every in EVERY:
                bytes_ = states[every][0].latents.nbytes if every else 0
                costs.append(Cost(size, every, taken[every], bytes_, await keep_ms(states[every])))
    finally:
        await backend.close()
    return costs


def main() -> None:
    """Read the command line, measure, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=positive, nargs="+", default=[512, 1024])
    parser.add_argument("--steps", type=positive, default=20)
    parser.add_argument("--rounds", type=positive, default=5)
    add_output_option(parser)
    options = parser.parse_args()
    with served_gateway() as gateway:
        machine = Machine(triton=gateway.triton_version())
        costs = asyncio.run(
            measure(gateway.triton_url, options.sizes, options.steps, options.rounds)
        )
    report = machine.report()
    markdown = f"{describe(report)}\n\n{markdown_table(HEADERS, [cost.row() for cost in costs])}"
    figures = {"machine": report, "options": recorded(options), "costs": [asdict(c) for c in costs]}
    publish(markdown, figures, options.output)


if __name__ == "__main__":
    main()
