"""The whole performance kit in one run, into one Markdown report with plots: `make perf`.

    python -m benchmarks.performance [--quick] [--output perf/report.md]

Parts: perf_analyzer on every batched model; first clicks against a direct client and other
frameworks, 1 to 64 clients; mixed load as an open loop; one to three Tritons; a tuning sweep.
`--quick` runs each part for seconds: enough to see that everything works, not for figures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import (
    mixed_load,
    peer_clicks,
    peer_generations,
    triton_scaling,
    tuning,
)
from benchmarks.peers.served import PEERS
from benchmarks.perf_analyzer import PerfPoint, find_perf_analyzer
from benchmarks.reporting import click_figures
from benchmarks.reporting.figures import mean_batch, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import recorded
from benchmarks.reporting.plots import Plot, save_plot
from benchmarks.reporting.report import markdown_table
from benchmarks.servers.local_tritons import GENERATION_MODELS, executions, local_tritons
from benchmarks.servers.served_gateway import served_gateway
from benchmarks.stage_inputs import write_inputs
from gateway.settings import Settings
from gateway.triton.triton_installation import WHEEL_TRITON_VERSION

PARTS = ("models", "clicks", "generations", "mixed", "tritons", "tuning")
UNCACHED = ("qwen_text_encoder", "qwen_vae_encoder")
_MODEL_HEADERS = (
    "model",
    "clients",
    "infer/s",
    "p50 ms",
    "p95 ms",
    "in line ms",
    "pass ms",
    "batch",
)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long the parts run."""

    model_requests: int
    clients: tuple[int, ...]
    rounds: int
    click_requests: int
    clicks_s: float
    """No further round of clicks begins after so long."""
    jobs: tuple[int, ...]
    rates: tuple[float, ...]
    rate_s: float


FULL = Effort(
    model_requests=100,
    clients=(1, 2, 4, 8, 16, 32, 64),
    rounds=5,
    click_requests=160,
    clicks_s=600.0,
    jobs=(1, 4, 8),
    rates=(2.0, 5.0, 10.0, 20.0),
    rate_s=45.0,
)
QUICK = Effort(
    model_requests=10,
    clients=(1, 8),
    rounds=1,
    click_requests=16,
    clicks_s=60.0,
    jobs=(1, 2),
    rates=(2.0,),
    rate_s=10.0,
)


@dataclass(frozen=True)
class Part:
    """A part's Markdown and figures."""

    title: str
    markdown: str
    figures: Any


def models_part(effort: Effort, _plots: Path) -> Part:
    """perf_analyzer over gRPC on every batched model, the stages' caches off."""
    points: list[tuple[PerfPoint, float]] = []
    program = find_perf_analyzer(Settings().triton_cache)
    with (
        tempfile.TemporaryDirectory(prefix="retouch-perf-") as scratch,
        local_tritons(1, ("fastsam", *GENERATION_MODELS), logs=Path(scratch)) as [server],
    ):
        url = server.grpc_url
        for model in UNCACHED:
            config = tuning.served_config(url, model)
            config["parameters"]["cache_bytes"] = {"string_value": "0"}
            tuning.serve_config(url, model, config)
        for model, inputs in write_inputs(url, Path(scratch) / "inputs", side=256).items():
            for clients in (1, 8):
                before = executions(server, model)
                requests = effort.model_requests
                point = program.measure(url, model, inputs, concurrency=clients, requests=requests)
                after = executions(server, model)
                points.append((point, mean_batch(after[0] - before[0], after[1] - before[1])))
    rows = [_model_row(point, batch) for point, batch in points]
    words = "perf_analyzer over gRPC, pictures of 256 x 256, the stages' caches of answers off.\n\n"
    figures = [asdict(point) | {"mean_batch": batch} for point, batch in points]
    return Part("Models at Triton", words + markdown_table(_MODEL_HEADERS, rows), figures)


def _model_row(point: PerfPoint, batch: float) -> list[str]:
    times = (point.p50_ms, point.p95_ms, point.queue_ms, point.compute_ms)
    return [
        point.model,
        str(point.concurrency),
        f"{point.per_s:.1f}",
        *(f"{value:.1f}" for value in times),
        f"{batch:.2f}",
    ]


def clicks_part(effort: Effort, plots: Path) -> Part:
    """The gateway against a direct client and other frameworks."""
    with served_gateway() as gateway:
        figures = peer_clicks.measure(
            gateway,
            peers=PEERS,
            concurrency=effort.clients,
            rounds=effort.rounds,
            requests=effort.click_requests,
            side=512,
            patience_s=effort.clicks_s,
        )
    shown = [
        save_plot(_click_plot(figures, *labels), plots, name)
        for name, labels in {
            "clicks-rate": ("requests_per_s", "First clicks a second", "requests/s", False),
            "clicks-p50": ("p50_ms", "Median time of a first click", "ms", True),
            "clicks-cpu": ("cpu_ms", "Processor time of a first click", "ms, all servers", False),
        }.items()
    ]
    markdown = "\n".join(shown) + "\n\n" + click_figures.section(figures)
    return Part("First clicks", markdown, [asdict(entry) for entry in figures])


def _click_plot(
    figures: Sequence[click_figures.RoundFigures],
    column: str,
    title: str,
    y: str,
    log_y: bool,
) -> Plot:
    lines: dict[str, list[tuple[float, float]]] = {}
    for server in dict.fromkeys(entry.server for entry in figures):
        for clients in dict.fromkeys(entry.concurrency for entry in figures):
            mine = [
                float(getattr(entry, column))
                for entry in figures
                if (entry.server, entry.concurrency) == (server, clients)
            ]
            lines.setdefault(server, []).append((clients, spread(mine).median))
    return Plot(title=title, x="clients", y=y, lines=lines, log_x=True, log_y=log_y)


def generations_part(effort: Effort, _plots: Path) -> Part:
    """Jobs at the same time, against plain diffusers behind plain FastAPI."""
    with served_gateway(jobs_per_model=max(effort.jobs)) as gateway:
        figures = peer_generations.measure(
            gateway, counts=effort.jobs, rounds=effort.rounds, side=256, steps=20
        )
    words = "256 x 256, 20 steps, no guidance; pictures of both equal to 1 grey level.\n\n"
    markdown = words + peer_generations.section(figures)
    return Part("Generations", markdown, [asdict(entry) for entry in figures])


def mixed_part(effort: Effort, plots: Path) -> Part:
    """Clicks, edits and generations as an open loop."""
    options = argparse.Namespace(rates=effort.rates, duration=effort.rate_s, steps=4)
    with served_gateway() as gateway:
        figures = mixed_load.measure_rates(gateway, options)
    goodput = [(entry.per_s, entry.goodput_per_s) for entry in figures]
    ideal = [(entry.per_s, entry.per_s) for entry in figures]
    lines = {"within the objective": goodput, "offered": ideal}
    plot = Plot(title="Goodput of mixed load", x="offered/s", y="requests/s", lines=lines)
    shown = save_plot(plot, plots, "mixed-goodput")
    markdown = f"{shown}\n\n{mixed_load.section(figures, effort.rate_s)}"
    return Part("Mixed load", markdown, [asdict(entry) for entry in figures])


def tritons_part(effort: Effort, _plots: Path) -> Part:
    """One gateway over one, two and three Tritons."""
    figures = triton_scaling.measure(
        (1, 2, 3), rounds=effort.rounds, requests=effort.click_requests, concurrency=8, side=512
    )
    return Part("Several Tritons", triton_scaling.section(figures), [asdict(f) for f in figures])


def tuning_part(effort: Effort, _plots: Path) -> Part:
    """A sweep of the segmenter's settings, confirmed against the defaults."""
    parser = argparse.ArgumentParser()
    tuning.add_sweep_options(parser)
    options = parser.parse_args(
        [f"--requests={effort.model_requests}", f"--rounds={effort.rounds}"]
    )
    with (
        tempfile.TemporaryDirectory(prefix="retouch-tuning-") as scratch,
        local_tritons(1, ("fastsam", *GENERATION_MODELS), logs=Path(scratch)) as [server],
    ):
        proposal = tuning.sweep_on(server.grpc_url, Path(scratch), options)
    markdown = tuning.section(options.model, options.concurrency, proposal, options.rounds)
    return Part("Tuning", markdown, asdict(proposal))


RUN: Mapping[str, Callable[[Effort, Path], Part]] = {
    "models": models_part,
    "clicks": clicks_part,
    "generations": generations_part,
    "mixed": mixed_part,
    "tritons": tritons_part,
    "tuning": tuning_part,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts; the report is written after each, so that an interrupted run leaves one."""
    options = _parser().parse_args(arguments)
    effort = QUICK if options.quick else FULL
    machine = Machine(WHEEL_TRITON_VERSION)
    parts: dict[str, Part] = {}
    took_s: dict[str, float] = {}
    for name in options.parts:
        print(f"{name} ...", flush=True)
        started = time.monotonic()
        parts[name] = RUN[name](effort, options.output.parent / "plots")
        took_s[name] = round(time.monotonic() - started)
        _write(options, machine.report(), parts, took_s)
    print(f"report in {options.output}")


def _write(
    options: argparse.Namespace,
    machine: dict[str, Any],
    parts: dict[str, Part],
    took_s: Mapping[str, float],
) -> None:
    title = "# Performance report" + (" (quick: not for figures)" if options.quick else "")
    sections = [f"## {part.title}\n\n{part.markdown}" for part in parts.values()]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took_s.items())
    whole = f"Took {times}: {sum(took_s.values()) / 60:.0f} minutes."
    options.output.write_text("\n\n".join([title, describe(machine), whole, *sections]) + "\n")
    content = {
        "machine": machine,
        "options": {**recorded(options), "parts": list(parts)},
        "took_s": dict(took_s),
        "parts": {name: part.figures for name, part in parts.items()},
    }
    options.output.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance")
    parser.description = "Measure everything and write one report."
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--quick", action="store_true", help="seconds per part, no figures to quote"
    )
    parser.add_argument("--output", type=Path, default=Path("perf/report.md"), metavar="FILE.md")
    return parser


if __name__ == "__main__":
    main()
