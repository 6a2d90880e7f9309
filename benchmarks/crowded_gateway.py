"""What open streams and pollers cost those who click: mask clients alone and in a crowd.

    python -m benchmarks.crowded_gateway [--rounds 5] [--seconds 10] [--pollers 200] [--streams 200]

Both variants run in every round, in turn, on the same gateway with the same jobs waiting (one of
them at work), so that they differ by the crowd alone. Pollers ask for a job once a second, as web
pages do; streams wait for a job's events. Mask clients click on a picture that the network knows:
the path on which the gateway itself counts most. The crowd and the clients run in processes of
their own. In the end, the gateway's memory is read before and after many more requests.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.clicks import photograph
from benchmarks.crowd import Crowd, gather_a_crowd, many_connections
from benchmarks.figures import percentile, ratios, spread
from benchmarks.machine import Machine, describe
from benchmarks.options import add_output_option, positive, recorded
from benchmarks.report import markdown_table, publish
from benchmarks.served_gateway import ServedGateway, other_process, served_gateway
from preprocessing.codec import encode_jpeg

ALONE, CROWDED = "mask clients alone", "beside the crowd"
SETTLE_S = 2.0


@dataclass(frozen=True)
class Clicking:
    """What the mask clients saw in one round."""

    latencies_s: list[float]
    wall_s: float
    errors: int


def click(url: str, file_id: str, clients: int, seconds: float) -> Clicking:
    """Masks by `clients` at once, for a while; runs in a process of its own."""

    async def one(http: httpx.AsyncClient, until: float) -> tuple[list[float], int]:
        latencies, errors = [], 0
        body = {"image": file_id, "prompts": [{"points": [[256, 200]]}]}
        while time.perf_counter() < until:
            started = time.perf_counter()
            response = await http.post("/v1/masks", json=body)
            latencies.append(time.perf_counter() - started)
            errors += response.status_code != 200
        return latencies, errors

    async def all_of_them() -> Clicking:
        async with many_connections(url, clients) as http:
            started = time.perf_counter()
            done = await asyncio.gather(*(one(http, started + seconds) for _ in range(clients)))
            wall_s = time.perf_counter() - started
        latencies = [latency for some, _ in done for latency in some]
        return Clicking(latencies, wall_s, sum(errors for _, errors in done))

    return asyncio.run(all_of_them())


def resident_mib(gateway: ServedGateway) -> float:
    """Main memory of the gateway's process."""
    for line in Path(f"/proc/{gateway.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the gateway's process has no VmRSS")


def prepare(gateway: ServedGateway, jobs: int) -> tuple[str, list[str]]:
    """Upload the picture, click once, and queue jobs that outlast the run."""
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as http:
        picture = encode_jpeg(photograph("astronaut", 512))
        file_id = str(
            http.post("/v1/files", files={"file": picture}).raise_for_status().json()["id"]
        )
        body = {"task": "generate", "prompt": "a lighthouse", "num_inference_steps": 100}
        answers = [http.post("/v1/jobs", json=body).raise_for_status() for _ in range(jobs)]
    click(gateway.url, file_id, 1, 0.5)
    return file_id, [str(answer.json()["id"]) for answer in answers]


def measure(options: argparse.Namespace) -> tuple[str, dict[str, object]]:
    """Run all rounds; the Markdown and the figures."""
    with (
        served_gateway(jobs_per_model=1) as gateway,
        other_process() as clients,
        other_process() as crowd,
    ):
        machine = Machine(gateway.triton_version())
        file_id, job_ids = prepare(gateway, options.jobs)
        rounds = [
            _round(gateway, clients, crowd, (file_id, job_ids), options, number)
            for number in range(options.rounds)
        ]
        before = resident_mib(gateway)
        sent = 0
        while sent < options.memory_requests:
            run = clients.submit(click, gateway.url, file_id, options.clients, 5.0).result()
            sent += len(run.latencies_s)
        after = resident_mib(gateway)
    report = machine.report()
    figures = {
        "machine": report,
        "rounds": rounds,
        "memory": {"requests": sent, "before": before, "after": after},
    }
    memory = f"Memory of the gateway: {before:.0f} MiB, after {sent} more requests {after:.0f} MiB."
    return "\n".join([describe(report), "", *_table(rounds), memory]), figures


def _round(
    gateway: ServedGateway,
    clients: ProcessPoolExecutor,
    crowd: ProcessPoolExecutor,
    subject: tuple[str, list[str]],
    options: argparse.Namespace,
    number: int,
) -> dict[str, dict[str, object]]:
    file_id, job_ids = subject
    seen: dict[str, dict[str, object]] = {}
    order = (ALONE, CROWDED) if number % 2 == 0 else (CROWDED, ALONE)
    for variant in order:
        around: Future[Crowd] | None = None
        if variant == CROWDED:
            lasts = options.seconds + 2 * SETTLE_S
            around = crowd.submit(
                gather_a_crowd, gateway.url, job_ids, options.pollers, options.streams, lasts
            )
            time.sleep(SETTLE_S)
        run = clients.submit(click, gateway.url, file_id, options.clients, options.seconds).result()
        seen[variant] = {
            "requests_per_s": len(run.latencies_s) / run.wall_s,
            "p50_ms": 1000 * percentile(run.latencies_s, 50),
            "p99_ms": 1000 * percentile(run.latencies_s, 99),
            "errors": run.errors,
            "crowd": asdict(around.result()) if around else None,
        }
    return seen


def _table(rounds: list[dict[str, dict[str, object]]]) -> list[str]:
    def column(variant: str, name: str) -> list[float]:
        return [float(round_[variant][name]) for round_ in rounds]  # type: ignore[arg-type]

    share = ratios(column(CROWDED, "requests_per_s"), column(ALONE, "requests_per_s"))
    rows = [
        [
            variant,
            spread(column(variant, "requests_per_s")).show(0),
            spread(column(variant, "p50_ms")).show(1),
            spread(column(variant, "p99_ms")).show(1),
            share.show() if variant == CROWDED else "1",
            str(int(sum(column(variant, "errors")))),
        ]
        for variant in (ALONE, CROWDED)
    ]
    headers = ("variant", "req/s", "p50 ms", "p99 ms", "req/s / alone", "errors")
    crowds = [round_[CROWDED]["crowd"] for round_ in rounds]
    return [markdown_table(headers, rows), "", f"The crowd, by round: {crowds}."]


def main() -> None:
    """Parse, measure, publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("rounds", 5), ("clients", 16), ("pollers", 200), ("streams", 200)):
        parser.add_argument(f"--{name}", type=positive, default=default)
    parser.add_argument("--jobs", type=positive, default=200, help="Jobs that wait.")
    parser.add_argument("--seconds", type=float, default=10.0, help="Of clicking, each variant.")
    parser.add_argument("--memory-requests", type=positive, default=10_000)
    add_output_option(parser)
    options = parser.parse_args()
    markdown, figures = measure(options)
    publish(markdown, {"options": recorded(options), **figures}, options.output)


if __name__ == "__main__":
    main()
