"""First clicks through one gateway over 1, 2 and 3 Tritons on this machine.

    python -m benchmarks.triton_scaling [--tritons 1 2 3] [--rounds 3] [--output scaling.md]

On a machine whose cores one Triton fills, more Tritons bring no throughput; what shows is that the
processor time per request stays flat and that every Triton works.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.reporting.figures import percentile, spread
from benchmarks.reporting.machine import Machine, describe, processor_s
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.local_tritons import addresses, inferences, local_tritons
from benchmarks.servers.served_gateway import gateway_over, other_process
from benchmarks.workloads.clicks import PICTURES, new_pictures, photograph
from benchmarks.workloads.direct_clicks import find_click
from benchmarks.workloads.mask_clients import gateway_server, run_clicks
from gateway.triton.process_group import group_members
from gateway.triton.triton_installation import WHEEL_TRITON_VERSION
from preprocessing.codec import encode_jpeg

RUN_TIMEOUT_S = 600.0
_HEADERS = ("Tritons", "p50 ms", "p99 ms", "req/s", "gateway CPU ms", "Triton CPU ms", "least busy")


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One round; processor times are per request."""

    tritons: int
    round: int
    p50_ms: float
    p99_ms: float
    requests_per_s: float
    gateway_cpu_ms: float
    triton_cpu_ms: float
    least_share: float
    """Share of the network's requests that the least busy Triton answered, times their number."""


def measure(
    counts: Sequence[int], *, rounds: int, requests: int, concurrency: int, side: int
) -> list[RoundFigures]:
    """Start as many Tritons as the largest count, and a gateway over the first `count` of them."""
    pixels = photograph(PICTURES[0], side)
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="retouch-scaling-") as scratch,
        local_tritons(max(counts), ("fastsam",), logs=Path(scratch)) as tritons,
        other_process() as clients,
    ):
        click = clients.submit(find_click, tritons[0].grpc_url, encode_jpeg(pixels)).result(60)
        pictures = new_pictures(pixels, click)
        for round_, count in itertools.product(range(rounds), counts):
            used = tritons[:count]
            with gateway_over(addresses(used), ("fastsam",)) as (url, pid):
                batch = list(itertools.islice(pictures, requests + concurrency))
                server = gateway_server(url, click)
                warm = clients.submit(run_clicks, server, batch[:concurrency], concurrency)
                warm.result(RUN_TIMEOUT_S)
                before = [inferences(triton, "fastsam") for triton in used]
                pids = [p for triton in used for p in group_members(triton.pid or 0)]
                gateway_s, triton_s = processor_s([pid]), processor_s(pids)
                run = clients.submit(run_clicks, server, batch[concurrency:], concurrency)
                done = run.result(RUN_TIMEOUT_S)
                gateway_s, triton_s = processor_s([pid]) - gateway_s, processor_s(pids) - triton_s
                after = [inferences(triton, "fastsam") for triton in used]
            answered = [now - then for now, then in zip(after, before, strict=True)]
            figures.append(
                RoundFigures(
                    tritons=count,
                    round=round_,
                    p50_ms=percentile(done.latencies_s, 50) * 1000,
                    p99_ms=percentile(done.latencies_s, 99) * 1000,
                    requests_per_s=requests / done.wall_s,
                    gateway_cpu_ms=gateway_s * 1000 / requests,
                    triton_cpu_ms=triton_s * 1000 / requests,
                    least_share=min(answered) / sum(answered) * count,
                )
            )
    return figures


def section(figures: Sequence[RoundFigures]) -> str:
    """The Markdown: medians over the rounds."""
    rows = []
    for count in dict.fromkeys(entry.tritons for entry in figures):
        mine = [entry for entry in figures if entry.tritons == count]
        names = ("p50_ms", "p99_ms", "requests_per_s", "gateway_cpu_ms", "triton_cpu_ms")
        medians = [f"{spread([getattr(f, n) for f in mine]).median:.1f}" for n in names]
        rows.append([str(count), *medians, f"{min(f.least_share for f in mine):.2f}"])
    words = "Least busy: the share of the Triton that got least over an even share."
    return f"{markdown_table(_HEADERS, rows)}\n\n{words}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    machine = Machine(WHEEL_TRITON_VERSION)
    figures = measure(
        options.tritons,
        rounds=options.rounds,
        requests=options.requests,
        concurrency=options.concurrency,
        side=options.size,
    )
    report = machine.report()
    content = {
        "machine": report,
        "options": recorded(options),
        "rounds": [asdict(f) for f in figures],
    }
    text = f"# Several Tritons\n\n{describe(report)}\n\n{section(figures)}"
    publish(text, content, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triton_scaling")
    parser.description = "Click through one gateway over several Tritons."
    parser.add_argument("--tritons", type=positive, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--requests", type=positive, default=64)
    parser.add_argument("--concurrency", type=positive, default=8)
    parser.add_argument("--size", type=positive, default=512, help="side of the picture in pixels")
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
