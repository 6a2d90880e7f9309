"""What serving costs one edit, and what edits of several users gain, where a step takes a while.

    python -m benchmarks.qwen_batching [--rounds 3] [--queue-delays-ms 1 20 150] [--output FILE.md]

On a checkpoint of the true architecture whose steps take 50 ms or more on a CPU
(`wide_repository.py`); on a GPU give --published-width 12 --in-process-device cuda: twelve layers
as wide as Qwen-Image's, in bfloat16 on both sides. Each round runs, in an order that rotates: an
edit in plain diffusers, the same edit served, the edits one after the other, at once, and at once
with `determinism: exact`. Then the same for other queue delays of the transformer's stage, to see
whether holding a step for company pays. Canaries are kept away, so that Triton counts the jobs'
steps alone.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.reporting.figures import mean_batch, ratios, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import ServedGateway, other_process, served_gateway
from benchmarks.servers.wide_repository import (
    PUBLISHED_WIDTH,
    WIDE,
    set_queue_delay,
    wide_repository,
)
from benchmarks.workloads.paint_jobs import JOB_TIMEOUT_S, PaintJob, jobs_of, run_served
from benchmarks.workloads.plain_diffusers import paint

STAGE = "qwen_image_edit_transformer"
IN_PROCESS, ONE, TWO, SERIAL, TOGETHER, EXACT = (
    "plain diffusers, in process, 1 job",
    "served, 1 job",
    "served, 2 jobs at once",
    "served, one after the other",
    "served, at once",
    "served, at once, exact",
)
VARIANTS = (IN_PROCESS, ONE, TWO, SERIAL, TOGETHER, EXACT)
_SWEPT = (ONE, TWO, TOGETHER)
_BUSY = re.compile(r'^retouch_stage_seconds_total\{model="\w+"\} (\S+)$', re.MULTILINE)
_NO_CANARIES = {"canary_interval_s": 24 * 3600, "canary_timeout_s": 60}
_HEADERS = (
    "variant", "jobs", "wall s", "jobs/s", "ms per step and job", "mean batch",
    "stages busy / wall",
)  # fmt: skip
_DELAY_HEADERS = ("queue delay ms", *(f"{v}: {w}" for v in _SWEPT for w in ("wall s", "batch")))


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One variant in one round; counts are the transformer stage's."""

    variant: str
    delay_ms: float
    round: int
    jobs: int
    wall_s: float
    inferences: int = 0
    executions: int = 0
    busy_s: float = 0.0
    """Time in forward passes, summed over all stages: more than `wall_s` where they overlap."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all rounds of a run share."""

    repository: Path
    plain: ProcessPoolExecutor
    options: argparse.Namespace

    @contextmanager
    def gateway(self, delay_ms: float) -> Iterator[ServedGateway]:
        """A warm gateway whose transformer has this queue delay."""
        set_queue_delay(self.repository, STAGE, delay_ms)
        with served_gateway(**_NO_CANARIES, model_repository=self.repository) as gateway:
            run_served(gateway.url, self._jobs(TOGETHER))
            yield gateway

    def rounds(
        self, gateway: ServedGateway, variants: Sequence[str], delay_ms: float
    ) -> Iterator[RoundFigures]:
        """All rounds of these variants."""
        for round_ in range(self.options.rounds):
            start = round_ % len(variants)
            for variant in (*variants[start:], *variants[:start]):
                yield replace(self._run(gateway, variant), round=round_, delay_ms=delay_ms)

    def warm_up_in_process(self) -> None:
        """Load plain diffusers and run it once."""
        self._in_process()

    def _run(self, gateway: ServedGateway, variant: str) -> RoundFigures:
        jobs = self._jobs(variant)
        if variant == IN_PROCESS:
            wall_s = self._in_process()
            return RoundFigures(variant=variant, delay_ms=0, round=0, jobs=1, wall_s=wall_s)
        counts, busy_s = gateway.counts(STAGE), _busy_s(gateway)
        groups = [[job] for job in jobs] if variant == SERIAL else [jobs]
        wall_s = sum(run_served(gateway.url, group).wall_s for group in groups)
        now = gateway.counts(STAGE)
        return RoundFigures(
            variant=variant,
            delay_ms=0,
            round=0,
            jobs=len(jobs),
            wall_s=wall_s,
            inferences=now[0] - counts[0],
            executions=now[1] - counts[1],
            busy_s=_busy_s(gateway) - busy_s,
        )

    def _in_process(self) -> float:
        job = self._jobs(IN_PROCESS)[0]
        device = self.options.in_process_device
        return self.plain.submit(paint, self.repository, device, job).result(JOB_TIMEOUT_S)[0]

    def _jobs(self, variant: str) -> list[PaintJob]:
        count = {IN_PROCESS: 1, ONE: 1, TWO: 2}.get(variant, self.options.jobs)
        jobs = jobs_of("edit", count, side=self.options.size, steps=self.options.steps)
        return [replace(job, exact=variant == EXACT) for job in jobs]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    first, *others = options.queue_delays_ms
    shape, precision = _network(options)
    with other_process() as plain, wide_repository(plain, shape, precision) as repository:
        bench = Bench(repository=repository, plain=plain, options=options)
        with bench.gateway(first) as gateway:
            bench.warm_up_in_process()
            machine = Machine(gateway.triton_version())
            figures = list(bench.rounds(gateway, VARIANTS, first))
        for delay_ms in others:
            with bench.gateway(delay_ms) as gateway:
                figures += bench.rounds(gateway, _SWEPT, delay_ms)
    report = machine.report()
    base = [entry for entry in figures if entry.delay_ms == first]
    parts = [_title(options), describe(report), table(base, options.steps), comparison(base)]
    if others:
        parts.append(delay_table(figures, options.queue_delays_ms))
    content: dict[str, Any] = {"machine": report, "options": recorded(options)}
    content["rounds"] = [asdict(entry) for entry in figures]
    publish("\n\n".join(parts), content, options.output)


def _network(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if options.published_width is None:
        return WIDE, options.precision
    return PUBLISHED_WIDTH | {"num_layers": options.published_width}, options.precision


def table(figures: Sequence[RoundFigures], steps: int) -> str:
    """Medians over the rounds, a row per variant."""
    return markdown_table(_HEADERS, [_row(figures, variant, steps) for variant in VARIANTS])


def comparison(figures: Sequence[RoundFigures]) -> str:
    """The ratios that matter, each within its round."""
    walls = {variant: _walls(figures, variant) for variant in VARIANTS}
    return (
        f"Served / in process, 1 job: {ratios(walls[ONE], walls[IN_PROCESS]).show()}. "
        f"At once / one after the other, throughput: "
        f"{ratios(walls[SERIAL], walls[TOGETHER]).show()}. "
        f"Cost of exact, time at once / without: {ratios(walls[EXACT], walls[TOGETHER]).show()}."
    )


def delay_table(figures: Sequence[RoundFigures], delays_ms: Sequence[float]) -> str:
    """A row per queue delay."""
    rows = []
    for delay_ms in delays_ms:
        row = [f"{delay_ms:g}"]
        for variant in _SWEPT:
            entries = [e for e in figures if (e.variant, e.delay_ms) == (variant, delay_ms)]
            walls = spread([entry.wall_s for entry in entries])
            row += [walls.show(), f"{_batch(entries):.2f}"]
        rows.append(row)
    return markdown_table(_DELAY_HEADERS, rows)


def _row(figures: Sequence[RoundFigures], variant: str, steps: int) -> list[str]:
    entries = [entry for entry in figures if entry.variant == variant]
    jobs = entries[0].jobs
    wall_s = spread([entry.wall_s for entry in entries]).median
    served = variant != IN_PROCESS
    busy = spread([entry.busy_s / entry.wall_s for entry in entries])
    return [
        variant,
        str(jobs),
        f"{wall_s:.2f}",
        f"{jobs / wall_s:.2f}",
        f"{1000 * wall_s / jobs / steps:.0f}",
        f"{_batch(entries):.2f}" if served else "",
        busy.show() if served else "",
    ]


def _batch(entries: Sequence[RoundFigures]) -> float:
    return spread([mean_batch(entry.inferences, entry.executions) for entry in entries]).median


def _walls(figures: Sequence[RoundFigures], variant: str) -> list[float]:
    entries = sorted((e for e in figures if e.variant == variant), key=lambda entry: entry.round)
    return [entry.wall_s for entry in entries]


def _busy_s(gateway: ServedGateway) -> float:
    text = httpx.get(gateway.metrics_url, trust_env=False).text
    return sum(float(value) for value in _BUSY.findall(text))


def _network_words(options: argparse.Namespace) -> str:
    layers, width = (options.published_width, 3072) if options.published_width else (2, 512)
    return f"A transformer {width} wide (layers: {layers}), precision {options.precision}."


def _title(options: argparse.Namespace) -> str:
    return (
        "# Batching of edits\n\n"
        f"{_network_words(options)} Edits of one picture, {options.size} x {options.size}, "
        f"{options.steps} steps, "
        f"true_cfg_scale 1, prompts of different length; {options.rounds} interleaved rounds, "
        "medians, lowest and highest in brackets. Wall times run from the request to the stored "
        f"PNG, previews included; batches are those of {STAGE}; its queue delay is "
        f"{options.queue_delays_ms[0]:g} ms unless a table says otherwise. An exact job's requests "
        "come in such batches too; the stage gives each a pass of its own."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qwen_batching")
    parser.description = "Measure served edits against plain diffusers, alone and at once."
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--jobs", type=positive, default=8, help="edits at once, and in a row")
    parser.add_argument("--size", type=positive, default=256, help="side in pixels, 16 times n")
    parser.add_argument("--steps", type=positive, default=10)
    parser.add_argument(
        "--queue-delays-ms", type=float, nargs="+", default=[1.0], help="the first is the baseline"
    )
    parser.add_argument(
        "--in-process-device", default="cpu", help="of plain diffusers: cpu or cuda"
    )
    parser.add_argument(
        "--published-width", type=positive, metavar="LAYERS", help="of Qwen-Image's own width"
    )
    parser.add_argument("--precision", default="auto", help="of the export: auto, bf16, fp8, ...")
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
