"""First clicks on new pictures: the gateway, a direct Triton client, and other frameworks.

    python -m benchmarks.peer_clicks [--rounds 3] [--concurrency 1 8 64] [--output peers.md]

Every server gets the same pictures. The peers run the same network in their own process: with the
product's own image work (peers/segmenter.py), and then all must answer the same masks, or with the
codecs of their tutorials. Servers take turns within a round; the client is a process of its own.
Needs `make .installed-perf`.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.peers.served import PEERS, TUTORIAL_PEERS, served_peer
from benchmarks.reporting.click_figures import DIRECT, GATEWAY, RoundFigures, section
from benchmarks.reporting.figures import percentile
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import publish
from benchmarks.servers.served_gateway import ServedGateway, other_process, served_gateway
from benchmarks.workloads.clicks import PICTURES, ClickRun, new_pictures, photograph
from benchmarks.workloads.direct_clicks import find_click, run_direct
from benchmarks.workloads.mask_clients import gateway_server, peer_server, run_clicks
from preprocessing.codec import encode_jpeg

RUN_TIMEOUT_S = 900.0
LEAST_ROUNDS = 3
"""Medians of fewer say little; so many are run however long they take."""
_IDLE_S = 8.0
_CALM_CPU, _CALM_S, _CALM_AT_LATEST_S = 0.2, 2.0, 90.0


@dataclass(frozen=True)
class Contender:
    """How to click, and what the servers behind it have used so far."""

    click: Callable[[Sequence[bytes], int], ClickRun]
    processor_s: Callable[[], float]
    triton_s: Callable[[], float] = lambda: 0.0
    """Triton's share of it."""
    counts: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """Inferences and executions of its Triton so far."""
    idle_cores: float = 0.0
    """What the servers behind it take when nobody asks anything."""
    triton_idle_cores: float = 0.0
    """Triton's share of it."""


def rounds_of(
    contenders: Mapping[str, Contender],
    pictures: Iterator[bytes],
    *,
    concurrency: Sequence[int],
    rounds: int,
    requests: int,
    patience_s: float = float("inf"),
) -> list[RoundFigures]:
    """All rounds, after one of a few requests that is thrown away.

    From `LEAST_ROUNDS` on none begins when `patience_s` is over.

    Raises:
        RuntimeError: two servers answered different masks.
    """
    figures: list[RoundFigures] = []
    over_at = time.monotonic() + patience_s
    _round(contenders, list(itertools.islice(pictures, 8)), 2, 0)
    for round_ in range(rounds):
        if round_ >= LEAST_ROUNDS and time.monotonic() > over_at:
            break
        for clients in concurrency:
            batch = list(itertools.islice(pictures, max(requests, 2 * clients)))
            figures += _round(contenders, batch, clients, round_)
    return figures


def _round(
    contenders: Mapping[str, Contender], pictures: list[bytes], concurrency: int, round_: int
) -> list[RoundFigures]:
    names = list(contenders)
    start = round_ % len(names)
    measured, masks = [], {}
    for name in names[start:] + names[:start]:
        contender = contenders[name]
        before, triton_before = contender.processor_s(), contender.triton_s()
        inferred, passed = contender.counts()
        run = contender.click(pictures, concurrency)
        used = contender.processor_s() - before
        inferences, passes = (
            n - m for n, m in zip(contender.counts(), (inferred, passed), strict=True)
        )
        masks[name] = run.masks
        measured.append(
            RoundFigures(
                server=name,
                concurrency=concurrency,
                round=round_,
                p50_ms=percentile(run.latencies_s, 50) * 1000,
                p99_ms=percentile(run.latencies_s, 99) * 1000,
                requests_per_s=len(pictures) / run.wall_s,
                cpu_ms=used * 1000 / len(pictures),
                triton_cpu_ms=(contender.triton_s() - triton_before) * 1000 / len(pictures),
                idle_ms=contender.idle_cores * run.wall_s * 1000 / len(pictures),
                triton_idle_ms=contender.triton_idle_cores * run.wall_s * 1000 / len(pictures),
                batch=inferences / passes if passes else 0.0,
            )
        )
    for alike in (set(names) - set(TUTORIAL_PEERS), set(names) & set(TUTORIAL_PEERS)):
        _require_equal({name: masks[name] for name in names if name in alike})
    return measured


def _require_equal(masks: Mapping[str, list[str]]) -> None:
    first = next(iter(masks), "")
    differing = [name for name in masks if masks[name] != masks[first]]
    if differing:
        raise RuntimeError(f"masks differ from those of {first}: {', '.join(differing)}")


def contenders_of(
    gateway: ServedGateway,
    peers: Mapping[str, tuple[str, Callable[[], float]]],
    click: tuple[int, int],
    clients: ProcessPoolExecutor,
) -> dict[str, Contender]:
    """The direct client, the gateway and the peers (url and processor time by name)."""

    def direct(pictures: Sequence[bytes], concurrency: int) -> ClickRun:
        call = clients.submit(run_direct, gateway.triton_url, pictures, click, concurrency)
        return call.result(RUN_TIMEOUT_S)

    def over_http(name: str, url: str) -> Callable[[Sequence[bytes], int], ClickRun]:
        server = gateway_server(url, click) if name == GATEWAY else peer_server(name, url, click)

        def run(pictures: Sequence[bytes], concurrency: int) -> ClickRun:
            return clients.submit(run_clicks, server, pictures, concurrency).result(RUN_TIMEOUT_S)

        return run

    found = {
        DIRECT: Contender(
            direct, gateway.triton_processor_s, gateway.triton_processor_s, _counts(gateway)
        ),
        GATEWAY: Contender(
            over_http(GATEWAY, gateway.url),
            lambda: gateway.processor_s() + gateway.triton_processor_s(),
            gateway.triton_processor_s,
            _counts(gateway),
        ),
    }
    for name, (url, processor_s) in peers.items():
        found[name] = Contender(over_http(name, url), processor_s)
    return found


def with_idle_cores(contenders: Mapping[str, Contender]) -> dict[str, Contender]:
    """Watch all of them for a while in which nobody asks anything."""

    def used() -> dict[str, tuple[float, float]]:
        return {name: (one.processor_s(), one.triton_s()) for name, one in contenders.items()}

    before, started = used(), time.perf_counter()
    time.sleep(_IDLE_S)
    after, passed_s = used(), time.perf_counter() - started
    shares = {
        name: [
            (end - begin) / passed_s for begin, end in zip(before[name], after[name], strict=True)
        ]
        for name in contenders
    }
    return {
        name: replace(one, idle_cores=shares[name][0], triton_idle_cores=shares[name][1])
        for name, one in contenders.items()
    }


def _counts(gateway: ServedGateway) -> Callable[[], tuple[int, int]]:
    return lambda: gateway.counts("fastsam")


def _await_calm(gateway: ServedGateway) -> None:
    """Until pipelines that load in the background have: their start is no part of a click."""
    latest = time.monotonic() + _CALM_AT_LATEST_S
    while time.monotonic() < latest:
        before = gateway.triton_processor_s()
        time.sleep(_CALM_S)
        if gateway.triton_processor_s() - before < _CALM_CPU * _CALM_S:
            return
    raise RuntimeError(f"Triton was still busy after {_CALM_AT_LATEST_S:.0f} s without a request.")


def measure(
    gateway: ServedGateway,
    *,
    peers: Sequence[str],
    concurrency: Sequence[int],
    rounds: int,
    requests: int,
    side: int,
    patience_s: float = float("inf"),
) -> list[RoundFigures]:
    """Start the peers beside a gateway, and run all rounds, as `rounds_of` says."""
    pixels = photograph(PICTURES[0], side)
    with tempfile.TemporaryDirectory(prefix="retouch-peers-") as logs, ExitStack() as running:
        clients = running.enter_context(other_process())
        click = clients.submit(find_click, gateway.triton_url, encode_jpeg(pixels)).result(60)
        served = {name: running.enter_context(served_peer(name, logs=Path(logs))) for name in peers}
        _await_calm(gateway)
        known = {name: (peer.url, peer.processor_s) for name, peer in served.items()}
        contenders = with_idle_cores(contenders_of(gateway, known, click, clients))
        return rounds_of(
            contenders,
            new_pictures(pixels, click),
            concurrency=concurrency,
            rounds=rounds,
            requests=requests,
            patience_s=patience_s,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    with served_gateway() as gateway:
        machine = Machine(gateway.triton_version())
        figures = measure(
            gateway,
            peers=options.peers,
            concurrency=options.concurrency,
            rounds=options.rounds,
            requests=options.requests,
            side=options.size,
        )
    report = machine.report()
    content = {
        "machine": report,
        "options": recorded(options),
        "rounds": [asdict(f) for f in figures],
    }
    publish(f"# First clicks\n\n{describe(report)}\n\n{section(figures)}", content, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer_clicks")
    parser.description = "Compare first clicks through the gateway with other frameworks."
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--requests", type=positive, default=64, help="per server and round")
    parser.add_argument("--concurrency", type=positive, nargs="+", default=[1, 8, 64])
    parser.add_argument("--size", type=positive, default=512, help="side of the picture in pixels")
    parser.add_argument(
        "--peers", nargs="*", choices=[*PEERS, *TUTORIAL_PEERS], default=[*PEERS, *TUTORIAL_PEERS]
    )
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
