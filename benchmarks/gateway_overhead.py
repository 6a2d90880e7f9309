"""What the gateway costs over a direct Triton client that does the same image work.

    python -m benchmarks.gateway_overhead [--rounds 5] [--size 1024] [--output overhead.md]

Each round runs every variant at every concurrency, in an order that rotates, on pictures that no
variant but the two compared has seen. Both clients run in processes of their own. Ratios
are taken within a round. A direct client keeps nothing; the gateway also stores the picture and
the mask, and answers base64 in JSON: that is part of what is measured.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass

from benchmarks.reporting.figures import Spread, percentile, ratios, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import ServedGateway, other_process, served_gateway
from benchmarks.workloads.clicks import PICTURES, ClickRun, new_pictures, photograph
from benchmarks.workloads.direct_clicks import find_click, run_direct
from benchmarks.workloads.gateway_clicks import Call, run_gateway
from preprocessing.codec import encode_jpeg

DIRECT = "direct Triton client"
VARIANTS = (DIRECT, *(str(call) for call in Call))
RUN_TIMEOUT_S = 600.0
_HEADERS = (
    "variant", "p50 ms", "p99 ms", "p50 / direct", "req/s", "req/s / direct",
    "gateway CPU ms", "Triton CPU ms", "client CPU ms",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One variant in one round; processor times are per request."""

    variant: str
    concurrency: int
    round: int
    p50_ms: float
    p99_ms: float
    requests_per_s: float
    gateway_cpu_ms: float
    triton_cpu_ms: float
    client_cpu_ms: float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all rounds of a run share."""

    gateway: ServedGateway
    direct: ProcessPoolExecutor
    client: ProcessPoolExecutor
    known: bytes
    """The picture of the variants that click on a picture again."""
    click: tuple[int, int]

    def measure(
        self, variant: str, pictures: Sequence[bytes], concurrency: int, round_: int
    ) -> tuple[RoundFigures, ClickRun]:
        """Run one variant."""
        gateway, triton = self.gateway.processor_s(), self.gateway.triton_processor_s()
        run = self._submit(variant, pictures, concurrency).result(RUN_TIMEOUT_S)
        gateway = self.gateway.processor_s() - gateway
        triton = self.gateway.triton_processor_s() - triton
        per_request = 1000 / len(pictures)
        figures = RoundFigures(
            variant=variant,
            concurrency=concurrency,
            round=round_,
            p50_ms=percentile(run.latencies_s, 50) * 1000,
            p99_ms=percentile(run.latencies_s, 99) * 1000,
            requests_per_s=len(pictures) / run.wall_s,
            gateway_cpu_ms=gateway * per_request,
            triton_cpu_ms=triton * per_request,
            client_cpu_ms=run.client_processor_s * per_request,
        )
        return figures, run

    def _submit(
        self, variant: str, pictures: Sequence[bytes], concurrency: int
    ) -> Future[ClickRun]:
        if variant == DIRECT:
            url = self.gateway.triton_url
            return self.direct.submit(run_direct, url, pictures, self.click, concurrency)
        call = Call(variant)
        if call is not Call.FIRST:
            pictures = [self.known] * len(pictures)
        url = self.gateway.url
        return self.client.submit(run_gateway, url, call, pictures, self.click, concurrency)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    with served_gateway() as gateway, other_process() as direct, other_process() as client:
        machine = Machine(gateway.triton_version())
        pixels = photograph(options.picture, options.size)
        known = encode_jpeg(pixels)
        click = direct.submit(find_click, gateway.triton_url, known).result(RUN_TIMEOUT_S)
        setting = Setting(gateway=gateway, direct=direct, client=client, known=known, click=click)
        figures = list(_rounds(setting, options, new_pictures(pixels, click)))
    report = machine.report()
    markdown = f"{_title(options, click)}\n\n{describe(report)}\n\n{_tables(figures, options)}"
    rounds = [asdict(entry) for entry in figures]
    content = {"machine": report, "options": recorded(options), "click": click, "rounds": rounds}
    publish(markdown, content, options.output)


def p50_ratios(figures: Sequence[RoundFigures], variant: str, concurrency: int) -> Spread:
    """Median latency of a variant over the direct client's, round by round."""
    values, bases = (_column(figures, v, concurrency, "p50_ms") for v in (variant, DIRECT))
    return ratios(values, bases)


def rate_ratios(figures: Sequence[RoundFigures], variant: str, concurrency: int) -> Spread:
    """Requests per second of a variant over the direct client's, round by round."""
    values, bases = (_column(figures, v, concurrency, "requests_per_s") for v in (variant, DIRECT))
    return ratios(values, bases)


def table_row(figures: Sequence[RoundFigures], variant: str, concurrency: int) -> list[str]:
    """Medians over the rounds, ratios with their spread."""

    def median(name: str) -> str:
        return f"{spread(_column(figures, variant, concurrency, name)).median:.1f}"

    return [
        variant,
        median("p50_ms"),
        median("p99_ms"),
        p50_ratios(figures, variant, concurrency).show(),
        median("requests_per_s"),
        rate_ratios(figures, variant, concurrency).show(),
        *(median(f"{process}_cpu_ms") for process in ("gateway", "triton", "client")),
    ]


def _rounds(
    setting: Setting, options: argparse.Namespace, pictures: Iterator[bytes]
) -> Iterator[RoundFigures]:
    """All rounds, after one of a few requests that is thrown away."""
    for concurrency in options.concurrency:
        _round(setting, list(itertools.islice(pictures, 2 * concurrency)), concurrency, 0)
    for round_, concurrency in itertools.product(range(options.rounds), options.concurrency):
        batch = list(itertools.islice(pictures, options.requests))
        yield from _round(setting, batch, concurrency, round_)


def _round(
    setting: Setting, pictures: list[bytes], concurrency: int, round_: int
) -> list[RoundFigures]:
    start = round_ % len(VARIANTS)
    measured, runs = [], {}
    for variant in VARIANTS[start:] + VARIANTS[:start]:
        figures, runs[variant] = setting.measure(variant, pictures, concurrency, round_)
        measured.append(figures)
    _check_masks(runs)
    return measured


def _check_masks(runs: dict[str, ClickRun]) -> None:
    """Every mask of the gateway equals the direct client's; a known picture has one mask."""
    if runs[DIRECT].masks != runs[Call.FIRST].masks:
        raise RuntimeError("the gateway's masks differ from the direct client's")
    if len({*runs[Call.AGAIN].masks, *runs[Call.BY_ID].masks}) != 1:
        raise RuntimeError("the masks of one picture differ")


def _column(
    figures: Sequence[RoundFigures], variant: str, concurrency: int, name: str
) -> list[float]:
    wanted = (variant, concurrency)
    return [getattr(f, name) for f in figures if (f.variant, f.concurrency) == wanted]


def _tables(figures: Sequence[RoundFigures], options: argparse.Namespace) -> str:
    parts = []
    for concurrency in options.concurrency:
        rows = [table_row(figures, variant, concurrency) for variant in VARIANTS]
        parts.append(f"Concurrency {concurrency}:\n\n{markdown_table(_HEADERS, rows)}")
    return "\n\n".join(parts)


def _title(options: argparse.Namespace, click: tuple[int, int]) -> str:
    return (
        "# Gateway overhead\n\n"
        f"Click at {click} on {options.picture}, {options.size} x {options.size} JPEG; "
        f"{options.rounds} interleaved rounds of {options.requests} requests, medians of the "
        "rounds, lowest and highest in brackets. Every mask equal."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway_overhead")
    parser.description = "Compare a click through the gateway with a direct Triton client."
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--requests", type=positive, default=100, help="per variant and round")
    parser.add_argument("--concurrency", type=positive, nargs="+", default=[1, 8])
    parser.add_argument("--size", type=positive, default=1024, help="side of the picture in pixels")
    parser.add_argument("--picture", choices=PICTURES, default=PICTURES[0])
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
