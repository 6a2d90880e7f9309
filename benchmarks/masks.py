"""A click: against ultralytics' own predictor, and what it costs when the picture is known.

    python -m benchmarks.masks [--rounds 5] [--requests 30] [--output masks.md]

First clicks: a new picture end to end, over HTTP to the gateway, and in process by ultralytics'
FastSAM with a point prompt on the same weights (decode, network, prompt, mask as PNG). Cached
clicks: the same picture again by its id, beside an empty FastAPI route behind the same server, by
the same client. Both in rounds that take turns. Then masks in process: one, and all 100, cropped
first and by enlarging every mask, as ultralytics does. Other frameworks: `python -m
benchmarks.peer_clicks`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.reporting.figures import Spread, percentile, ratios, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.empty_service import empty_service
from benchmarks.servers.served_gateway import other_process, served_gateway
from benchmarks.workloads.clicks import PICTURES, new_pictures, photograph
from benchmarks.workloads.direct_clicks import find_click
from benchmarks.workloads.gateway_clicks import Call, run_empty, run_gateway
from benchmarks.workloads.mask_making import MaskFigures, measure_masks
from benchmarks.workloads.ultralytics_clicks import click_with_ultralytics, save_demo_weights
from preprocessing.codec import encode_jpeg

RUN_TIMEOUT_S = 600.0
THEIRS, FIRST = "ultralytics, in process", "gateway, first click"
CACHED, EMPTY = "gateway, cached click", "empty FastAPI call"


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One contender in one round."""

    contender: str
    round: int
    p50_ms: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `retouch` does; for new processes
    with (
        tempfile.TemporaryDirectory(prefix="retouch-masks-") as scratch,
        served_gateway() as gateway,
        empty_service() as empty_url,
        other_process() as client,
        other_process() as theirs,
    ):
        machine = Machine(gateway.triton_version())
        weights = save_demo_weights(Path(scratch))
        pixels = photograph(options.picture, options.size)
        known = encode_jpeg(pixels)
        click = client.submit(find_click, gateway.triton_url, known).result(RUN_TIMEOUT_S)

        def gateway_run(call: Call, pictures: Sequence[bytes]) -> list[float]:
            run = client.submit(run_gateway, gateway.url, call, pictures, click, 1)
            return run.result(RUN_TIMEOUT_S).latencies_s

        contenders: dict[str, Callable[[Sequence[bytes]], list[float]]] = {
            THEIRS: lambda pictures: _in(theirs, click_with_ultralytics, weights, pictures, click),
            FIRST: lambda pictures: gateway_run(Call.FIRST, pictures),
            CACHED: lambda pictures: gateway_run(Call.BY_ID, [known] * len(pictures)),
            EMPTY: lambda pictures: _in(client, run_empty, empty_url, len(pictures)),
        }
        figures = list(_rounds(contenders, options, new_pictures(pixels, click)))
        masks = client.submit(measure_masks).result(RUN_TIMEOUT_S)
    report = machine.report()
    markdown = f"{_title(options)}\n\n{describe(report)}\n\n{_tables(figures, masks)}"
    content = {
        "machine": report,
        "options": recorded(options),
        "rounds": [asdict(entry) for entry in figures],
        "masks": asdict(masks),
    }
    publish(markdown, content, options.output)


def _in(
    process: ProcessPoolExecutor, work: Callable[..., list[float]], *arguments: object
) -> list[float]:
    return process.submit(work, *arguments).result(RUN_TIMEOUT_S)


def _rounds(
    contenders: dict[str, Callable[[Sequence[bytes]], list[float]]],
    options: argparse.Namespace,
    pictures: Iterator[bytes],
) -> Iterator[RoundFigures]:
    """All rounds, after one of a few requests that is thrown away."""
    for run in contenders.values():
        run(list(itertools.islice(pictures, 2)))
    names = list(contenders)
    for round_ in range(options.rounds):
        start = round_ % len(names)
        for name in names[start:] + names[:start]:
            latencies = contenders[name](list(itertools.islice(pictures, options.requests)))
            p50_ms = percentile(latencies, 50) * 1000
            yield RoundFigures(contender=name, round=round_, p50_ms=p50_ms)
            time.sleep(0.1)


def ratio(figures: Sequence[RoundFigures], contender: str, base: str) -> Spread:
    """Median latency over another contender's, round by round."""
    values, bases = (
        [f.p50_ms for f in figures if f.contender == name] for name in (contender, base)
    )
    return ratios(values, bases)


def _tables(figures: Sequence[RoundFigures], masks: MaskFigures) -> str:
    rows = []
    for name, base in ((THEIRS, THEIRS), (FIRST, THEIRS), (EMPTY, EMPTY), (CACHED, EMPTY)):
        times = spread([f.p50_ms for f in figures if f.contender == name])
        rows.append([name, times.show(1), f"{ratio(figures, name, base).show()} x {base}"])
    clicks = markdown_table(["what", "p50 ms", "ratio"], rows)
    sides = markdown_table(
        ["one mask, side of its box", "ms"],
        [[f"{side} px", f"{ms:.3f}"] for side, ms in masks.one_ms.items()],
    )
    everything = markdown_table(
        [
            "all 100 masks of",
            "cropped first, ms",
            "ultralytics / ours",
            "OpenCV / ours",
            "lowest IoU",
        ],
        [
            [
                " x ".join(map(str, entry.picture_wh)),
                f"{entry.ours_ms:.1f}",
                f"{entry.ultralytics_ms:.0f} ms, {entry.ultralytics_ms / entry.ours_ms:.1f} x",
                f"{entry.opencv_ms:.0f} ms, {entry.opencv_ms / entry.ours_ms:.1f} x",
                f"{entry.lowest_iou:.4f}",
            ]
            for entry in masks.all
        ],
    )
    return (
        f"{clicks}\n\n{sides}\n\n{everything}\n\nEach mask is as large as the picture. "
        "ultralytics: its `process_mask_native` (torch, all threads) on the same outputs; OpenCV: "
        "each mask's logits enlarged to the picture, then cut to its box. IoU of ours with "
        "ultralytics' masks."
    )


def _title(options: argparse.Namespace) -> str:
    return (
        f"# Masks\n\nOne click on {options.picture}, {options.size} x {options.size} JPEG, demo "
        f"segmenter; {options.rounds} interleaved rounds of {options.requests} requests, medians "
        "of the rounds, lowest and highest in brackets."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.masks")
    parser.description = "Compare clicks with ultralytics' predictor and with an empty call."
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--requests", type=positive, default=30, help="per contender and round")
    parser.add_argument("--size", type=positive, default=1024, help="side of the picture in pixels")
    parser.add_argument("--picture", choices=PICTURES, default=PICTURES[0])
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
