"""What previews cost a painting job.

    python -m benchmarks.preview_cost [--wide] [--rounds 15] [--output previews.md]

With --wide on a transformer whose steps take 50 ms or more (`wide_repository.py`), else on the
demo's. Each round paints the same job without previews and with one every other step, in an order
that alternates, straight on the pipeline model, and divides the two times. Small pictures have
quick steps, large ones slow steps: the share of a preview is largest where steps are quickest.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.reporting.figures import ratios, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import other_process, served_gateway
from benchmarks.servers.wide_repository import wide_repository
from gateway.inference import GENERATION_MODEL, PictureRequest, StepDone
from gateway.triton.triton_client import TritonBackend

PREVIEW_EVERY = 2
TIMEOUT_S = 300.0
_NO_CANARIES_S = 24 * 3600
_HEADERS = ("side", "steps", "step without, ms", "with / without previews", "previews")


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """The two times of one size in one round, in seconds."""

    side: int
    round: int
    without_s: float
    with_s: float
    previews: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    settings: dict[str, object] = {"canary_interval_s": _NO_CANARIES_S, "canary_timeout_s": 60}
    with ExitStack() as stack:
        if options.wide:
            builder = stack.enter_context(other_process())
            settings["model_repository"] = stack.enter_context(wide_repository(builder))
        gateway = stack.enter_context(served_gateway(**settings))
        machine = Machine(gateway.triton_version())
        figures = asyncio.run(_measure(gateway.triton_url, options))
    report = machine.report()
    rows = [table_row(figures, side, options.steps) for side in options.sizes]
    markdown = f"{_title(options)}\n\n{describe(report)}\n\n{markdown_table(_HEADERS, rows)}"
    content: dict[str, Any] = {"machine": report, "options": recorded(options)}
    content |= {"rounds": [asdict(entry) for entry in figures]}
    publish(markdown, content, options.output)


def table_row(figures: Sequence[RoundFigures], side: int, steps: int) -> list[str]:
    """Medians over the rounds of one size."""
    entries = [entry for entry in figures if entry.side == side]
    without = [entry.without_s for entry in entries]
    return [
        str(side),
        str(steps),
        f"{1000 * spread(without).median / steps:.1f}",
        ratios([entry.with_s for entry in entries], without).show(3),
        str(entries[0].previews),
    ]


async def _measure(url: str, options: argparse.Namespace) -> list[RoundFigures]:
    backend = TritonBackend(url, segmentation_timeout_s=TIMEOUT_S, stall_timeout_s=TIMEOUT_S)
    try:
        for side in options.sizes:
            await _paint(backend, side, options.steps, PREVIEW_EVERY)
        return [
            await _round(backend, side, options.steps, round_)
            for round_ in range(options.rounds)
            for side in options.sizes
        ]
    finally:
        await backend.close()


async def _round(backend: TritonBackend, side: int, steps: int, round_: int) -> RoundFigures:
    order = (0, PREVIEW_EVERY) if round_ % 2 else (PREVIEW_EVERY, 0)
    found = {every: await _paint(backend, side, steps, every) for every in order}
    return RoundFigures(
        side=side,
        round=round_,
        without_s=found[0][0],
        with_s=found[PREVIEW_EVERY][0],
        previews=found[PREVIEW_EVERY][1],
    )


async def _paint(
    backend: TritonBackend, side: int, steps: int, preview_every: int
) -> tuple[float, int]:
    """Seconds from the request to the picture, and how many previews came."""
    request = PictureRequest(
        model=GENERATION_MODEL,
        prompt="a lighthouse at dusk",
        width=side,
        height=side,
        num_inference_steps=steps,
        true_cfg_scale=1.0,
        seed=7,
        preview_every=preview_every,
    )
    started, previews = time.perf_counter(), 0
    async for event in backend.paint(request):
        previews += isinstance(event, StepDone) and event.preview is not None
    return time.perf_counter() - started, previews


def _title(options: argparse.Namespace) -> str:
    return (
        "# Cost of previews\n\n"
        f"{'Wide' if options.wide else 'Demo'} transformer, one job at a time, {options.steps} "
        f"steps, true_cfg_scale 1, previews every {PREVIEW_EVERY} steps or none; "
        f"{options.rounds} interleaved rounds, medians, lowest and highest in brackets."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preview_cost")
    parser.description = "Measure what previews cost a painting job."
    parser.add_argument("--rounds", type=positive, default=15)
    parser.add_argument("--sizes", type=positive, nargs="+", default=[256, 512], help="16 times n")
    parser.add_argument("--steps", type=positive, default=8)
    parser.add_argument("--wide", action="store_true", help="on steps of 50 ms or more")
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
