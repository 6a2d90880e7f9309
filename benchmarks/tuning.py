"""Which queue delay, batch size and instance count serve a model best, on this machine.

    python -m benchmarks.tuning [--model fastsam] [--concurrency 8] [--output tuning.md]

Sweeps the settings one after the other on a Triton of its own, then measures the best against the
defaults in fresh rounds that take turns. What does not win there by more than the margin is not
proposed: the defaults stand.
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

import tritonclient.grpc as triton

from benchmarks.perf_analyzer import PerfPoint, find_perf_analyzer
from benchmarks.reporting.figures import Spread, ratios
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.local_tritons import GENERATION_MODELS, LOAD_TIMEOUT_S, local_tritons
from benchmarks.stage_inputs import write_inputs
from gateway.settings import Settings

_HEADERS = ("setting", "infer/s", "p50 ms", "p95 ms", "in line ms")
Measure = Callable[["Tuning"], PerfPoint]


@dataclass(frozen=True)
class Tuning:
    """Settings of one model."""

    delay_us: int
    max_batch: int
    instances: int

    def show(self) -> str:
        """Such as "delay 0 us, batch 8, 1 instance(s)"."""
        return f"delay {self.delay_us} us, batch {self.max_batch}, {self.instances} instance(s)"

    def applied_to(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A whole model configuration with these settings in it."""
        batching = {**config.get("dynamic_batching", {})}
        # Triton fills it in with the old batch size, and refuses it beside a smaller one.
        batching.pop("preferred_batch_size", None)
        batching["max_queue_delay_microseconds"] = self.delay_us
        groups = [{**group, "count": self.instances} for group in config["instance_group"]]
        return {
            **config,
            "max_batch_size": self.max_batch,
            "dynamic_batching": batching,
            "instance_group": groups,
        }

    def fragment(self) -> str:
        """The lines for `config.pbtxt`."""
        return (
            f"max_batch_size: {self.max_batch}\n"
            f"dynamic_batching {{ max_queue_delay_microseconds: {self.delay_us} }}\n"
            f"instance_group [{{ kind: KIND_AUTO count: {self.instances} }}]"
        )


@dataclass(frozen=True)
class Proposal:
    """What a sweep says; `best` is None where the defaults stand."""

    default: Tuning
    best: Tuning | None
    challenger: Tuning
    ratio: Spread
    """Throughput of the challenger over the default's, round by round."""
    swept: list[tuple[Tuning, PerfPoint]]


def tuning_of(config: Mapping[str, Any]) -> Tuning:
    """The settings that a configuration has."""
    batching = config.get("dynamic_batching", {})
    return Tuning(
        delay_us=int(batching.get("max_queue_delay_microseconds", 0)),
        max_batch=int(config.get("max_batch_size", 0)),
        instances=int(config["instance_group"][0].get("count", 1)),
    )


def sweep(
    default: Tuning,
    measure: Measure,
    *,
    delays_us: Sequence[int],
    batches: Sequence[int],
    instances: Sequence[int],
    rounds: int,
    margin: float,
) -> Proposal:
    """Vary one setting at a time from the best so far, then confirm against the default.

    Args:
        default: what is served now.
        measure: serves a setting and measures it.
        delays_us: queue delays to try.
        batches: largest batches to try.
        instances: instance counts to try.
        rounds: confirmations, each measuring both.
        margin: how much faster every round must be, as a share.
    """
    points = {default: measure(default)}

    def best() -> Tuning:
        return max(points, key=lambda tuning: points[tuning].per_s)

    for make in (
        lambda tuning: [Tuning(tuning.delay_us, tuning.max_batch, n) for n in instances],
        lambda tuning: [Tuning(tuning.delay_us, size, tuning.instances) for size in batches],
        lambda tuning: [Tuning(delay, tuning.max_batch, tuning.instances) for delay in delays_us],
    ):
        for candidate in make(best()):
            if candidate not in points:
                points[candidate] = measure(candidate)
    swept = list(points.items())
    challenger = max((t for t in points if t != default), key=lambda t: points[t].per_s)
    pairs = [(measure(challenger).per_s, measure(default).per_s) for _ in range(rounds)]
    ratio = ratios([mine for mine, _ in pairs], [theirs for _, theirs in pairs])
    wins = ratio.low > 1 + margin
    return Proposal(default, challenger if wins else None, challenger, ratio, swept)


def section(model: str, concurrency: int, proposal: Proposal, rounds: int) -> str:
    """The Markdown of a sweep."""
    rows = [
        [tuning.show(), *(f"{v:.1f}" for v in (p.per_s, p.p50_ms, p.p95_ms, p.queue_ms))]
        for tuning, p in proposal.swept
    ]
    verdict = (
        f"Against the default in {rounds} fresh rounds: {proposal.challenger.show()} is "
        f"{proposal.ratio.show()} times as fast."
    )
    if proposal.best is None:
        conclusion = f"**The defaults stand** for {model} at concurrency {concurrency}."
    else:
        fragment = f"```\n{proposal.best.fragment()}\n```"
        conclusion = f"Proposed for {model} at concurrency {concurrency}:\n\n{fragment}"
    return f"{markdown_table(_HEADERS, rows)}\n\n{verdict} {conclusion}"


def served_config(url: str, model: str) -> dict[str, Any]:
    """A model's configuration as Triton has it now."""
    with triton.InferenceServerClient(url) as client:
        config: dict[str, Any] = client.get_model_config(model, as_json=True)["config"]
    return config


def serve_config(url: str, model: str, config: Mapping[str, Any]) -> None:
    """Load the model again, configured so; a moment later Triton says that it is ready."""
    with triton.InferenceServerClient(url) as client:
        client.load_model(model, config=json.dumps(config), client_timeout=LOAD_TIMEOUT_S)
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        while not (client.is_server_ready() and client.is_model_ready(model)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{model} did not become ready as {config}")
            time.sleep(0.1)


def measure_on(url: str, model: str, inputs: Path, *, concurrency: int, requests: int) -> Measure:
    """A measure that serves a setting on a Triton and runs perf_analyzer."""
    program = find_perf_analyzer(Settings().triton_cache)
    config = served_config(url, model)

    def measure(tuning: Tuning) -> PerfPoint:
        serve_config(url, model, tuning.applied_to(config))
        return program.measure(url, model, inputs, concurrency=concurrency, requests=requests)

    return measure


def main(arguments: Sequence[str] | None = None) -> None:
    """Sweep and report."""
    options = _parser().parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="retouch-tuning-") as scratch,
        local_tritons(1, ("fastsam", *GENERATION_MODELS), logs=Path(scratch)) as [server],
    ):
        machine = Machine(server_version(server.grpc_url))
        proposal = sweep_on(server.grpc_url, Path(scratch), options)
    report = machine.report()
    text = section(options.model, options.concurrency, proposal, options.rounds)
    title = f"# Tuning {options.model}\n\n{describe(report)}\n\n"
    content = {"machine": report, "options": recorded(options), "proposal": asdict(proposal)}
    publish(title + text, content, options.output)


def sweep_on(url: str, scratch: Path, options: argparse.Namespace) -> Proposal:
    """Sweep one model of a running Triton, as the options say."""
    inputs = write_inputs(url, scratch / "inputs", side=options.side)[options.model]
    measure = measure_on(
        url, options.model, inputs, concurrency=options.concurrency, requests=options.requests
    )
    return sweep(
        tuning_of(served_config(url, options.model)),
        measure,
        delays_us=options.delays,
        batches=options.batches,
        instances=options.instances,
        rounds=options.rounds,
        margin=options.margin,
    )


def server_version(url: str) -> str:
    """As the server says."""
    with triton.InferenceServerClient(url) as client:
        return str(client.get_server_metadata(client_timeout=10).version)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning")
    parser.description = "Propose queue delay, batch size and instances for a model."
    add_sweep_options(parser)
    add_output_option(parser)
    return parser


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """What shapes a sweep."""
    parser.add_argument("--model", default="fastsam")
    parser.add_argument("--concurrency", type=positive, default=8)
    parser.add_argument("--requests", type=positive, default=100, help="per measurement window")
    parser.add_argument("--delays", type=int, nargs="+", default=[0, 500, 2000], help="us")
    parser.add_argument("--batches", type=positive, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--instances", type=positive, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=positive, default=5, help="confirmations")
    parser.add_argument("--margin", type=float, default=0.0, help="share by which each must win")
    parser.add_argument("--side", type=positive, default=256, help="pixels, for the stages")


if __name__ == "__main__":
    main()
