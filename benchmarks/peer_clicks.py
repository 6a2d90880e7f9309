"""First clicks on new pictures: the gateway, a direct Triton client, and other frameworks.

    python -m benchmarks.peer_clicks [--rounds 3] [--concurrency 1 8 64] [--output peers.md]

Every server gets the same pictures and must answer the same masks. The peers run the same network
in their own process, with the product's own image work (peers/segmenter.py). Servers take turns
within a round; the client is a process of its own. Needs `make .installed-perf`.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.clicks import PICTURES, ClickRun, new_pictures, photograph
from benchmarks.direct_clicks import find_click, run_direct
from benchmarks.figures import Spread, percentile, ratios, spread
from benchmarks.flat_cpu import flat_table
from benchmarks.machine import Machine, describe
from benchmarks.mask_clients import gateway_server, peer_server, run_clicks
from benchmarks.options import add_output_option, positive, recorded
from benchmarks.peers.served import PEERS, served_peer
from benchmarks.report import markdown_table, publish
from benchmarks.served_gateway import ServedGateway, other_process, served_gateway
from preprocessing.codec import encode_jpeg

DIRECT, GATEWAY = "direct Triton client", "gateway"
RUN_TIMEOUT_S = 900.0
LEAST_ROUNDS = 3
"""Medians of fewer say little; so many are run however long they take."""
_HEADERS = ("server", "p50 ms", "p99 ms", "req/s", "req/s / direct", "server CPU ms")


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One server in one round; processor time is per request, Triton's included."""

    server: str
    concurrency: int
    round: int
    p50_ms: float
    p99_ms: float
    requests_per_s: float
    cpu_ms: float
    triton_cpu_ms: float = 0.0
    """What of it was Triton's."""


@dataclass(frozen=True)
class Contender:
    """How to click, and what the servers behind it have used so far."""

    click: Callable[[Sequence[bytes], int], ClickRun]
    processor_s: Callable[[], float]
    triton_s: Callable[[], float] = lambda: 0.0
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
        run = contender.click(pictures, concurrency)
        used = contender.processor_s() - before
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
            )
        )
    differing = [name for name in masks if masks[name] != masks[names[0]]]
    if differing:
        raise RuntimeError(f"masks differ from those of {names[0]}: {', '.join(differing)}")
    return measured


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
        DIRECT: Contender(direct, gateway.triton_processor_s, gateway.triton_processor_s),
        GATEWAY: Contender(
            over_http(GATEWAY, gateway.url),
            lambda: gateway.processor_s() + gateway.triton_processor_s(),
            gateway.triton_processor_s,
        ),
    }
    for name, (url, processor_s) in peers.items():
        found[name] = Contender(over_http(name, url), processor_s)
    return found


def section(figures: Sequence[RoundFigures]) -> str:
    """The Markdown: one table per concurrency, and how flat the processor time is over them."""
    parts = []
    for concurrency in dict.fromkeys(entry.concurrency for entry in figures):
        servers = dict.fromkeys(entry.server for entry in figures)
        rows = [table_row(figures, server, concurrency) for server in servers]
        parts.append(f"Clients: {concurrency}\n\n{markdown_table(_HEADERS, rows)}")
    parts.append(flat_table(cpu_by_clients(figures)))
    return "\n\n".join(parts)


def cpu_by_clients(figures: Sequence[RoundFigures]) -> dict[str, dict[int, float]]:
    """Medians of the processor time per request, ms; the gateway's also apart from its Triton's.

    Triton's falls where requests share a batch; what must not grow with the clients is the rest.
    """
    clients = list(dict.fromkeys(entry.concurrency for entry in figures))

    def medians(server: str, cost: Callable[[RoundFigures], float]) -> dict[int, float]:
        return {
            count: spread(
                [cost(f) for f in figures if (f.server, f.concurrency) == (server, count)]
            ).median
            for count in clients
        }

    found = {
        "gateway's own": medians(GATEWAY, lambda figure: figure.cpu_ms - figure.triton_cpu_ms),
        "its Triton's": medians(GATEWAY, lambda figure: figure.triton_cpu_ms),
    }
    for server in dict.fromkeys(entry.server for entry in figures):
        found[server] = medians(server, lambda figure: figure.cpu_ms)
    return found


def table_row(figures: Sequence[RoundFigures], server: str, concurrency: int) -> list[str]:
    """Medians over the rounds, the ratio with its spread."""

    def median(name: str) -> str:
        return f"{spread(_column(figures, server, concurrency, name)).median:.1f}"

    rate = rate_ratio(figures, server, concurrency).show()
    return [
        server,
        *(median(n) for n in ("p50_ms", "p99_ms", "requests_per_s")),
        rate,
        median("cpu_ms"),
    ]


def rate_ratio(figures: Sequence[RoundFigures], server: str, concurrency: int) -> Spread:
    """Requests per second over the direct client's, round by round."""
    values, bases = (
        _column(figures, name, concurrency, "requests_per_s") for name in (server, DIRECT)
    )
    return ratios(values, bases)


def _column(
    figures: Sequence[RoundFigures], server: str, concurrency: int, name: str
) -> list[float]:
    wanted = (server, concurrency)
    return [getattr(f, name) for f in figures if (f.server, f.concurrency) == wanted]


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
        known = {name: (peer.url, peer.processor_s) for name, peer in served.items()}
        contenders = contenders_of(gateway, known, click, clients)
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
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
