"""How much the denoising steps of concurrent jobs gain by sharing forward passes.

    python -m benchmarks.step_batching [--task edit] [--rounds 3] [--output batching.md]

Each round runs every number of concurrent jobs through the gateway, and one job in plain diffusers
in a process of its own, in an order that rotates. Prompts differ in length, so batches are ragged.
Served times hold everything from the request to the stored PNG, previews included. The gateway's
canaries are kept away while it measures, so that Triton counts the jobs' steps alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.reporting.figures import mean_batch, ratios, share_of_serial, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import ServedGateway, other_process, served_gateway
from benchmarks.workloads.paint_jobs import JOB_TIMEOUT_S, PaintJob, jobs_of, run_served
from benchmarks.workloads.plain_diffusers import paint
from gateway.settings import load_settings

IN_PROCESS = 0
"""Stands for plain diffusers among the numbers of concurrent jobs."""
TRANSFORMERS = {"generate": "qwen_image_transformer", "edit": "qwen_image_edit_transformer"}
_NO_CANARIES_S = 24 * 3600
_CANARY_TIMEOUT_S = 60
_HEADERS = (
    "jobs", "wall s", "jobs/s", "time per job / serial", "inferences", "executions", "mean batch",
    "Triton CPU s per job",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One number of concurrent jobs in one round; counts are the transformer stage's."""

    jobs: int
    round: int
    wall_s: float
    inferences: int = 0
    executions: int = 0
    triton_cpu_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all rounds of a run share."""

    gateway: ServedGateway
    plain: ProcessPoolExecutor
    options: argparse.Namespace

    def served(self, count: int, round_: int) -> tuple[RoundFigures, npt.NDArray[np.uint8]]:
        """Run `count` jobs at once; their figures, and the first one's picture.

        Raises:
            RuntimeError: a job failed, or Triton counted other steps than the jobs'.
        """
        stage = TRANSFORMERS[self.options.task]
        inferences, executions = self.gateway.counts(stage)
        processor = self.gateway.triton_processor_s()
        run = run_served(self.gateway.url, self._jobs(count))
        now = self.gateway.counts(stage)
        figures = RoundFigures(
            jobs=count,
            round=round_,
            wall_s=run.wall_s,
            inferences=now[0] - inferences,
            executions=now[1] - executions,
            triton_cpu_s=self.gateway.triton_processor_s() - processor,
        )
        if figures.inferences != count * self.options.steps:
            raise RuntimeError(f"{stage} ran {figures.inferences} steps for {count} jobs")
        return figures, run.first_picture

    def in_process(self, round_: int) -> tuple[RoundFigures, npt.NDArray[np.uint8]]:
        """Run the first job in plain diffusers."""
        folder, device = load_settings().model_repository, self.options.in_process_device
        future = self.plain.submit(paint, folder, device, self._jobs(1)[0])
        seconds, picture = future.result(JOB_TIMEOUT_S)
        return RoundFigures(jobs=IN_PROCESS, round=round_, wall_s=seconds), picture

    def _jobs(self, count: int) -> list[PaintJob]:
        options = self.options
        return jobs_of(options.task, count, side=options.size, steps=options.steps)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    options.concurrency = sorted({1, *options.concurrency})
    canaries = {"canary_interval_s": _NO_CANARIES_S, "canary_timeout_s": _CANARY_TIMEOUT_S}
    with served_gateway(**canaries) as gateway, other_process() as plain:
        machine = Machine(gateway.triton_version())
        setting = Setting(gateway=gateway, plain=plain, options=options)
        setting.in_process(0)
        setting.served(max(options.concurrency), 0)
        figures, difference = _rounds(setting)
    report = machine.report()
    markdown = f"{_title(options)}\n\n{describe(report)}\n\n{_table(figures, options.concurrency)}"
    markdown += f"\n\n{_comparison(figures, difference)}"
    content: dict[str, Any] = {"machine": report, "options": recorded(options)}
    content |= {"pixel_difference": difference, "rounds": [asdict(entry) for entry in figures]}
    publish(markdown, content, options.output)


def table_row(figures: Sequence[RoundFigures], jobs: int) -> list[str]:
    """Medians over the rounds of one number of concurrent jobs."""
    entries = [entry for entry in figures if entry.jobs == jobs]
    wall = spread(_walls(figures, jobs)).median
    serial = share_of_serial(_walls(figures, jobs), _walls(figures, 1), jobs)
    batch = spread([mean_batch(entry.inferences, entry.executions) for entry in entries]).median
    return [
        str(jobs),
        f"{wall:.2f}",
        f"{jobs / wall:.2f}",
        serial.show(),
        f"{spread([entry.inferences for entry in entries]).median:.0f}",
        f"{spread([entry.executions for entry in entries]).median:.0f}",
        f"{batch:.2f}",
        f"{spread([entry.triton_cpu_s / jobs for entry in entries]).median:.2f}",
    ]


def _rounds(setting: Setting) -> tuple[list[RoundFigures], int]:
    """All rounds, and the largest difference between the served and the plain picture."""
    figures, difference = [], 0
    for round_ in range(setting.options.rounds):
        pictures = {}
        for jobs in _order(setting.options.concurrency, round_):
            run = setting.in_process(round_) if jobs == IN_PROCESS else setting.served(jobs, round_)
            figures.append(run[0])
            pictures[jobs] = run[1].astype(int)
        largest = np.abs(pictures[1] - pictures[IN_PROCESS]).max()
        difference = max(difference, int(largest))
    return figures, difference


def _order(concurrency: Sequence[int], round_: int) -> Iterator[int]:
    variants = [IN_PROCESS, *concurrency]
    start = round_ % len(variants)
    yield from variants[start:] + variants[:start]


def _walls(figures: Sequence[RoundFigures], jobs: int) -> list[float]:
    """Wall times by round."""
    entries = sorted((e for e in figures if e.jobs == jobs), key=lambda entry: entry.round)
    return [entry.wall_s for entry in entries]


def _table(figures: Sequence[RoundFigures], concurrency: Sequence[int]) -> str:
    return markdown_table(_HEADERS, [table_row(figures, jobs) for jobs in concurrency])


def _comparison(figures: Sequence[RoundFigures], difference: int) -> str:
    plain, served = _walls(figures, IN_PROCESS), _walls(figures, 1)
    return (
        f"One job in plain diffusers, in process: {spread(plain).show()} s. "
        f"Served / in process: {ratios(served, plain).show()}. "
        f"Largest difference between the two pictures: {difference} of 255."
    )


def _title(options: argparse.Namespace) -> str:
    return (
        "# Step batching\n\n"
        f"Concurrent {options.task} jobs, {options.size} x {options.size}, {options.steps} steps, "
        f"true_cfg_scale 1, prompts of different length; {options.rounds} interleaved rounds, "
        "medians, lowest and highest in brackets. Inferences and executions are those of "
        f"{TRANSFORMERS[options.task]}; serial is as many times one job of the same round."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_batching")
    parser.description = "Measure how concurrent painting jobs share forward passes."
    parser.add_argument("--task", choices=sorted(TRANSFORMERS), default="generate")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--concurrency", type=positive, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--size", type=positive, default=256, help="side in pixels, 16 times n")
    parser.add_argument("--steps", type=positive, default=20)
    parser.add_argument(
        "--in-process-device", default="cpu", help="of plain diffusers: cpu or cuda"
    )
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
