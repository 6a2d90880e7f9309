"""Jobs at the same time: the gateway against plain FastAPI over plain diffusers.

    python -m benchmarks.peer_generations [--jobs 1 4 8] [--rounds 3] [--output generations.md]

The same checkpoint, prompts and seeds. The two take turns within a round; the pictures of both must
be equal to one grey level.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from benchmarks.peers.served import DIFFUSERS, ServedPeer, served_peer
from benchmarks.reporting.figures import ratios, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import ServedGateway, served_gateway
from benchmarks.workloads.paint_jobs import JOB_TIMEOUT_S, PaintJob, jobs_of, run_served

GATEWAY = "gateway"
LARGEST_DIFFERENCE = 1
_HEADERS = (
    "jobs at once",
    "gateway s",
    f"{DIFFUSERS} s",
    "gateway / peer",
    "CPU s a job",
    "peer's",
)
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One server in one round; from the first request to the last answer."""

    server: str
    jobs: int
    round: int
    wall_s: float
    cpu_s: float
    """Per job, of all its servers."""


def measure(
    gateway: ServedGateway, *, counts: Sequence[int], rounds: int, side: int, steps: int
) -> list[RoundFigures]:
    """Start the peer beside a gateway, and run all rounds after one that is thrown away.

    Raises:
        RuntimeError: a job failed, or the pictures of the two differ.
    """
    figures: list[RoundFigures] = []
    with (
        tempfile.TemporaryDirectory(prefix="retouch-peer-") as logs,
        served_peer(DIFFUSERS, logs=Path(logs)) as peer,
    ):
        _round(gateway, peer, jobs_of("generate", 1, side=side, steps=steps), 0)
        for round_, count in itertools.product(range(rounds), counts):
            jobs = jobs_of("generate", count, side=side, steps=steps)
            figures += _round(gateway, peer, jobs, round_)
    return figures


def _round(
    gateway: ServedGateway, peer: ServedPeer, jobs: list[PaintJob], round_: int
) -> list[RoundFigures]:
    pictures: list[Picture] = []

    def timed(
        name: str, run: Callable[[], tuple[float, Picture]], cpu: Callable[[], float]
    ) -> RoundFigures:
        before = cpu()
        wall, picture = run()
        pictures.append(picture)
        used = (cpu() - before) / len(jobs)
        return RoundFigures(server=name, jobs=len(jobs), round=round_, wall_s=wall, cpu_s=used)

    def served() -> tuple[float, Picture]:
        done = run_served(gateway.url, jobs)
        return done.wall_s, done.first_picture

    contestants = [
        (GATEWAY, served, lambda: gateway.processor_s() + gateway.triton_processor_s()),
        (DIFFUSERS, lambda: asyncio.run(_run_peer(peer.url, jobs)), peer.processor_s),
    ]
    turn = round_ % 2
    figures = [timed(*contestant) for contestant in contestants[turn:] + contestants[:turn]]
    difference = int(np.abs(pictures[0].astype(int) - pictures[1]).max())
    if difference > LARGEST_DIFFERENCE:
        raise RuntimeError(f"the pictures of the two differ by {difference} grey levels")
    return figures


async def _run_peer(url: str, jobs: Sequence[PaintJob]) -> tuple[float, Picture]:
    async with httpx.AsyncClient(trust_env=False, timeout=JOB_TIMEOUT_S) as client:

        async def one(job: PaintJob) -> bytes:
            wanted = {"prompt": job.prompt, "seed": job.seed, "side": job.side, "steps": job.steps}
            answer = await client.post(f"{url}/generate", params=wanted)
            return answer.raise_for_status().content

        started = time.perf_counter()
        pngs = await asyncio.gather(*(one(job) for job in jobs))
        wall = time.perf_counter() - started
    return wall, np.asarray(PillowImage.open(io.BytesIO(pngs[0])).convert("RGB"))


def section(figures: Sequence[RoundFigures]) -> str:
    """The Markdown: medians over the rounds, the ratio with its spread."""
    rows = []
    for count in dict.fromkeys(entry.jobs for entry in figures):
        ours, theirs = (
            [entry for entry in figures if (entry.server, entry.jobs) == (name, count)]
            for name in (GATEWAY, DIFFUSERS)
        )
        walls = [[entry.wall_s for entry in side] for side in (ours, theirs)]
        cpu = [spread([entry.cpu_s for entry in side]).median for side in (ours, theirs)]
        rows.append(
            [
                str(count),
                *(f"{spread(wall).median:.2f}" for wall in walls),
                ratios(*walls).show(),
                *(f"{value:.2f}" for value in cpu),
            ]
        )
    return markdown_table(_HEADERS, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    with served_gateway(jobs_per_model=max(options.jobs)) as gateway:
        machine = Machine(gateway.triton_version())
        figures = measure(
            gateway,
            counts=options.jobs,
            rounds=options.rounds,
            side=options.side,
            steps=options.steps,
        )
    report = machine.report()
    content = {
        "machine": report,
        "options": recorded(options),
        "rounds": [asdict(f) for f in figures],
    }
    text = f"# Generations\n\n{describe(report)}\n\n{section(figures)}"
    publish(text, content, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer_generations")
    parser.description = "Compare generations through the gateway with plain diffusers."
    parser.add_argument("--jobs", type=positive, nargs="+", default=[1, 4, 8])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--side", type=positive, default=256, help="of the pictures in pixels")
    parser.add_argument("--steps", type=positive, default=20)
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
