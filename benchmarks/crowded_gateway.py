"""What open streams and pollers cost those who click: mask clients alone and in a crowd.

    python -m benchmarks.crowded_gateway [--rounds 5] [--seconds 8] [--pollers 200] [--streams 200]

The variants run in every round, in turn, on the same gateway with the same jobs waiting (one of
them at work), so that they differ by the crowd alone. Pollers ask for a job once a second;
streams wait for a job's events. Mask clients click on a picture that the network knows, the path
on which the gateway itself counts most, or with `--pictures new` on pictures that it has not seen,
each sent along with its click. The crowd and the clients run in processes of their own,
on the same cores. What that alone costs shows where the same crowd asks a service that gives back
recorded bytes, while the clients click at the gateway.
"""

from __future__ import annotations

import argparse
import socket
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from benchmarks.reporting.figures import percentile, ratios, spread
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.bare_service import bare_service
from benchmarks.servers.served_gateway import ServedGateway, other_process, served_gateway
from benchmarks.workloads.clicks import photograph
from benchmarks.workloads.crowd import CrowdRun, gather_a_crowd
from benchmarks.workloads.steady_clicks import NEW_A_SECOND, SIDE, Clicking, click, make_pictures
from preprocessing.codec import encode_jpeg

ALONE = "mask clients alone"
ELSEWHERE = "the crowd at a bare service"
CROWDED = "the crowd at the gateway"
SETTLE_S = 2.0
Round = dict[str, dict[str, float]]


def prepare(gateway: ServedGateway, jobs: int) -> tuple[str, list[str]]:
    """Upload the picture, click once, and queue jobs that outlast the run."""
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as http:
        picture = encode_jpeg(photograph("astronaut", SIDE))
        file_id = str(
            http.post("/v1/files", files={"file": picture}).raise_for_status().json()["id"]
        )
        body = {"task": "generate", "prompt": "a lighthouse", "num_inference_steps": 100}
        answers = [http.post("/v1/jobs", json=body).raise_for_status() for _ in range(jobs)]
    click(gateway.url, file_id, 1, 0.5)
    return file_id, [str(answer.json()["id"]) for answer in answers]


@dataclass(frozen=True)
class Stage:
    """What a round runs on."""

    gateway: ServedGateway
    bare_url: str
    clients: ProcessPoolExecutor
    crowd: ProcessPoolExecutor
    file_id: str | None
    """What is clicked on; None: new pictures."""
    job_ids: list[str]

    def click(self, clients: int, seconds: float) -> Clicking:
        """Masks by `clients` at once, from their own process."""
        url = self.gateway.url
        return self.clients.submit(click, url, self.file_id, clients, seconds).result()


def measure(options: argparse.Namespace) -> tuple[str, dict[str, object]]:
    """Run all rounds; the Markdown and the figures."""
    with (
        served_gateway(jobs_per_model=1) as gateway,
        other_process() as clients,
        other_process() as crowd,
    ):
        machine = Machine(gateway.triton_version())
        file_id, job_ids = prepare(gateway, options.jobs)
        with bare_service(_recorded_poll(gateway.url, job_ids[-1])) as bare_url:
            clicked = file_id if options.pictures == "known" else None
            stage = Stage(gateway, bare_url, clients, crowd, clicked, job_ids)
            costs = _costs(stage, options)
            rounds = [_round(stage, options, number) for number in range(options.rounds)]
    report = machine.report()
    figures: dict[str, object] = {"machine": report, "costs": costs, "rounds": rounds}
    words = (
        f"Without mask clients a poll costs {costs['poll_ms']:.2f} ms of the gateway's processor "
        f"time, {options.streams} open streams take {costs['streams_cores']:.3f} of a core, and "
        f"the gateway without anybody takes {costs['nobody_cores']:.3f}."
    )
    return "\n".join([describe(report), "", *_tables(rounds), "", words]), figures


def _costs(stage: Stage, options: argparse.Namespace) -> dict[str, float]:
    """Processor time of the gateway for the crowd alone, over what it takes without anybody."""

    def cores(pollers: int, streams: int) -> tuple[float, float]:
        lasts_s = options.seconds + 2 * SETTLE_S
        around = stage.crowd.submit(
            gather_a_crowd, stage.gateway.url, stage.job_ids, pollers, streams, lasts_s
        )
        time.sleep(SETTLE_S)
        before = stage.gateway.processor_s()
        time.sleep(options.seconds)
        used = stage.gateway.processor_s() - before
        return used / options.seconds, around.result().polls / lasts_s

    # At least one poller: a crowd of nobody has no latencies.
    nobody, _ = cores(1, 0)
    polling, polls_per_s = cores(options.pollers, 0)
    listening, _ = cores(1, options.streams)
    return {
        "poll_ms": 1000 * (polling - nobody) / polls_per_s,
        "streams_cores": listening - nobody,
        "nobody_cores": nobody,
    }


def _round(stage: Stage, options: argparse.Namespace, number: int) -> Round:
    order = [ALONE, ELSEWHERE, CROWDED]
    turn = number % len(order)
    return {variant: _one(stage, options, variant) for variant in order[turn:] + order[:turn]}


def _one(stage: Stage, options: argparse.Namespace, variant: str) -> dict[str, float]:
    around: Future[CrowdRun] | None = None
    lasts_s = options.seconds + 2 * SETTLE_S
    if stage.file_id is None:
        stage.clients.submit(make_pictures, int(NEW_A_SECOND * options.seconds)).result()
    if variant != ALONE:
        url = stage.gateway.url if variant == CROWDED else stage.bare_url
        people = (options.pollers, options.streams)
        around = stage.crowd.submit(gather_a_crowd, url, stage.job_ids, *people, lasts_s)
        time.sleep(SETTLE_S)
    before = stage.gateway.processor_s()
    run = stage.click(options.clients, options.seconds)
    figures = {
        "requests_per_s": len(run.latencies_s) / run.wall_s,
        "p50_ms": 1000 * percentile(run.latencies_s, 50),
        "p99_ms": 1000 * percentile(run.latencies_s, 99),
        "errors": float(run.errors),
        "gateway_cores": (stage.gateway.processor_s() - before) / run.wall_s,
        "clients_cores": run.processor_s / run.wall_s,
    }
    if around is not None:
        seen = around.result()
        figures |= seen.summary() | {"crowd_cores": seen.processor_s / lasts_s}
    return figures


def _recorded_poll(url: str, job_id: str) -> bytes:
    """The gateway's answer to a poll, byte for byte."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        head = f"GET /v1/jobs/{job_id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return answer.replace(b"connection: close\r\n", b"")


def _tables(rounds: list[Round]) -> list[str]:
    def column(variant: str, name: str) -> list[float]:
        return [round_[variant][name] for round_ in rounds]

    def show(variant: str, name: str, digits: int) -> str:
        return spread(column(variant, name)).show(digits)

    rates = {variant: column(variant, "requests_per_s") for variant in (ALONE, ELSEWHERE, CROWDED)}
    rows = [
        [
            variant,
            show(variant, "requests_per_s", 0),
            show(variant, "p50_ms", 1),
            show(variant, "p99_ms", 1),
            ratios(rates[variant], rates[ALONE]).show(),
            ratios(rates[variant], rates[ELSEWHERE]).show(),
            str(int(sum(column(variant, "errors")))),
        ]
        for variant in rates
    ]
    headers = ("variant", "masks/s", "p50 ms", "p99 ms", "/ alone", "/ bare service", "errors")
    crowds = [
        [
            variant,
            str(int(sum(column(variant, "polls")))),
            show(variant, "poll_p50_ms", 1),
            show(variant, "poll_p99_ms", 1),
            str(int(sum(column(variant, "polls_late")))),
            str(int(sum(column(variant, "poll_errors") + column(variant, "stream_errors")))),
        ]
        for variant in (ELSEWHERE, CROWDED)
    ]
    cores = [
        [
            variant,
            show(variant, "gateway_cores", 2),
            show(variant, "clients_cores", 2),
            "0" if variant == ALONE else show(variant, "crowd_cores", 2),
        ]
        for variant in rates
    ]
    return [
        markdown_table(headers, rows),
        "",
        markdown_table(("the crowd", "polls", "p50 ms", "p99 ms", "late", "errors"), crowds),
        "",
        markdown_table(("cores busy", "gateway", "mask clients", "crowd's own process"), cores),
    ]


def main() -> None:
    """Parse, measure, publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("rounds", 5), ("clients", 16), ("pollers", 200), ("streams", 200)):
        parser.add_argument(f"--{name}", type=positive, default=default)
    parser.add_argument("--jobs", type=positive, default=200, help="Jobs that wait.")
    parser.add_argument("--seconds", type=float, default=8.0, help="Of clicking, each variant.")
    words = "What is clicked on: one picture that the network knows, or a new one each time."
    parser.add_argument("--pictures", choices=("known", "new"), default="known", help=words)
    add_output_option(parser)
    options = parser.parse_args()
    markdown, figures = measure(options)
    publish(markdown, {"options": recorded(options), **figures}, options.output)


if __name__ == "__main__":
    main()
