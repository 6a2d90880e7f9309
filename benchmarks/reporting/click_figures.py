"""What rounds of first clicks measured, and the tables that say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.reporting.figures import Spread, ratios, spread
from benchmarks.reporting.flat_cpu import flat_table
from benchmarks.reporting.report import markdown_table

DIRECT, GATEWAY = "direct Triton client", "gateway"
_HEADERS = ("server", "p50 ms", "p99 ms", "req/s", "req/s / direct", "server CPU ms", "mean batch")


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
    idle_ms: float = 0.0
    """What of it the servers would have taken without a request."""
    triton_idle_ms: float = 0.0
    """Triton's share of that."""
    batch: float = 0.0
    """Requests per pass by Triton's statistics; 0 where there is no Triton."""


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
    """Medians of the processor time per request, ms, over what the servers take idle.

    The gateway's also apart from its Triton's, which falls where requests share a batch; what must
    not grow with the clients is the rest.
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
        "gateway's own": medians(GATEWAY, lambda f: _all_over_idle(f) - _triton_over_idle(f)),
        "its Triton's": medians(GATEWAY, _triton_over_idle),
    }
    for server in dict.fromkeys(entry.server for entry in figures):
        found[server] = medians(server, _all_over_idle)
    return found


def _all_over_idle(figures: RoundFigures) -> float:
    return figures.cpu_ms - figures.idle_ms


def _triton_over_idle(figures: RoundFigures) -> float:
    return figures.triton_cpu_ms - figures.triton_idle_ms


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
        median("batch") if any(_column(figures, server, concurrency, "batch")) else "",
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
