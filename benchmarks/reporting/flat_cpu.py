"""Whether a request costs the same processor time however many clients there are."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.reporting.report import markdown_table

FLAT_WITHIN = 0.10
"""Highest over lowest, less one."""


def apart(by_clients: Mapping[int, float]) -> float:
    """How much more the dearest number of clients costs than the cheapest, as a share.

    >>> round(apart({1: 40.0, 64: 44.0}), 6)
    0.1
    """
    lowest = min(by_clients.values())
    return max(by_clients.values()) / lowest - 1 if lowest else float("inf")


def flat_table(cpu_ms: Mapping[str, Mapping[int, float]]) -> str:
    """Milliseconds per request by server and number of clients, and the verdict.

    >>> print(flat_table({"gateway": {1: 40.0, 64: 44.1}, "peer": {1: 10.0, 64: 10.4}}))
    | CPU ms over idle, clients: |    1 |   64 | apart | within 10% |
    |----------------------------|-----:|-----:|------:|-----------:|
    | gateway                    | 40.0 | 44.1 | 10.3% |         no |
    | peer                       | 10.0 | 10.4 |  4.0% |        yes |
    """
    clients = list(dict.fromkeys(count for costs in cpu_ms.values() for count in costs))
    rows = []
    for server, costs in cpu_ms.items():
        share = apart(costs)
        verdict = "yes" if share <= FLAT_WITHIN else "no"
        rows.append([server, *(f"{costs[n]:.1f}" for n in clients), f"{share:.1%}", verdict])
    headers = (
        "CPU ms over idle, clients:",
        *(str(count) for count in clients),
        "apart",
        f"within {FLAT_WITHIN:.0%}",
    )
    return markdown_table(headers, rows)
