"""Clicks, edits and generations at the same time, as an open loop against a gateway.

    python -m benchmarks.mixed_load [--rates 2 5 10] [--duration 30] [--output mixed.md]

Starts a gateway, or loads the one at `--url`; then nothing is known of processor time and batches.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from benchmarks.reporting.figures import mean_batch
from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import ServedGateway, served_gateway
from benchmarks.workloads.clicks import PICTURES, new_pictures, photograph
from benchmarks.workloads.direct_clicks import find_click
from benchmarks.workloads.open_loop import (
    KindFigures,
    figures_of,
    goodput_per_s,
    offer,
    poisson_arrivals,
)
from benchmarks.workloads.paint_jobs import PROMPTS
from preprocessing.codec import encode_jpeg

FIRST, AGAIN, EDIT, GENERATE = "click, new picture", "click, same picture", "edit", "generation"
MIX = {FIRST: 0.35, AGAIN: 0.5, EDIT: 0.05, GENERATE: 0.1}
OBJECTIVES_S = {FIRST: 0.5, AGAIN: 0.1, EDIT: 10.0, GENERATE: 10.0}
TIMEOUT_S = 120.0
MODELS = ("fastsam", "qwen_image_transformer", "qwen_image_edit_transformer")
_HEADERS = ("kind", "offered", "failed", "p50 ms", "p95 ms", "p99 ms", "within objective")


@dataclass(frozen=True, kw_only=True)
class RateFigures:
    """One rate; processor times are per request and None where the processes are not ours."""

    per_s: float
    goodput_per_s: float
    kinds: list[KindFigures]
    gateway_cpu_ms: float | None = None
    triton_cpu_ms: float | None = None
    batches: dict[str, float] | None = None
    """Requests per execution, by model."""


class Person:
    """Sends requests of all kinds, over connections that stay open."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        pictures: Iterator[bytes],
        known: str,
        click: tuple[int, int],
        steps: int,
    ) -> None:
        self._client = client
        self._pictures = pictures
        self._known = known
        self._click = click
        self._steps = steps
        self._numbers = itertools.count()

    async def send(self, kind: str) -> bool:
        """Whether the request of this kind was answered well."""
        try:
            if kind == FIRST:
                return await self._first_click()
            if kind == AGAIN:
                return await self._second_click()
            return await self._paint("edit" if kind == EDIT else "generate")
        except httpx.HTTPError:
            return False

    async def _first_click(self) -> bool:
        files = {"image": ("picture.jpg", next(self._pictures), "image/jpeg")}
        data = {"prompts": f'[{{"points": [[{self._click[0]}, {self._click[1]}]]}}]'}
        return (await self._client.post("/v1/masks", data=data, files=files)).is_success

    async def _second_click(self) -> bool:
        body = {"image": self._known, "prompts": [{"points": [self._click]}]}
        return (await self._client.post("/v1/masks", json=body)).is_success

    async def _paint(self, task: str) -> bool:
        number = next(self._numbers)
        body: dict[str, Any] = {
            "task": task,
            "prompt": PROMPTS[number % len(PROMPTS)],
            "seed": number,
            "num_inference_steps": self._steps,
            "true_cfg_scale": 1,
            "size": "256x256",
        }
        if task == "edit":
            body["image"] = self._known
        wait = {"Prefer": f"wait={TIMEOUT_S:.0f}"}
        answer = await self._client.post("/v1/jobs", json=body, headers=wait)
        while answer.is_success and answer.json()["status"] in ("queued", "running"):
            answer = await self._client.get(answer.json()["urls"]["self"], params={"wait": 30})
        return answer.is_success and answer.json()["status"] == "succeeded"


async def run_rate(
    url: str, per_s: float, duration_s: float, *, steps: int, click: tuple[int, int]
) -> tuple[float, list[KindFigures]]:
    """Offer the mix at one rate: goodput a second, and figures by kind."""
    pixels = photograph(PICTURES[0], 512)
    limits = httpx.Limits(max_connections=512, max_keepalive_connections=64)
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=TIMEOUT_S, limits=limits
    ) as client:
        files = {"file": ("known.jpg", encode_jpeg(pixels), "image/jpeg")}
        known = (await client.post("/v1/files", files=files)).raise_for_status().json()["id"]
        # Seeded by the rate: no picture is sent twice to a gateway within a run of the script.
        start = int(per_s * 1000)
        pictures = itertools.islice(new_pictures(pixels, click), start, None)
        person = Person(client, pictures, known, click, steps)
        for kind in MIX:
            await person.send(kind)
        arrivals = poisson_arrivals(per_s, duration_s, MIX, seed=start)
        served = await offer(arrivals, person.send)
    return goodput_per_s(served, OBJECTIVES_S, duration_s), figures_of(served, OBJECTIVES_S)


def measure(
    gateway: ServedGateway, per_s: float, duration_s: float, *, steps: int, click: tuple[int, int]
) -> RateFigures:
    """One rate against a gateway of ours, with processor time and batches."""
    before = [gateway.counts(model) for model in MODELS]
    cpu, triton_cpu = gateway.processor_s(), gateway.triton_processor_s()
    goodput, kinds = asyncio.run(run_rate(gateway.url, per_s, duration_s, steps=steps, click=click))
    per_request = 1000 / max(1, sum(entry.offered for entry in kinds))
    after = [gateway.counts(model) for model in MODELS]
    batches = {
        model: mean_batch(now[0] - then[0], now[1] - then[1])
        for model, now, then in zip(MODELS, after, before, strict=True)
    }
    return RateFigures(
        per_s=per_s,
        goodput_per_s=goodput,
        kinds=kinds,
        gateway_cpu_ms=(gateway.processor_s() - cpu) * per_request,
        triton_cpu_ms=(gateway.triton_processor_s() - triton_cpu) * per_request,
        batches=batches,
    )


def section(figures: Sequence[RateFigures], duration_s: float) -> str:
    """The Markdown of all rates."""
    objectives = ", ".join(f"{kind} {limit:g} s" for kind, limit in OBJECTIVES_S.items())
    mix = ", ".join(f"{kind} {share:.0%}" for kind, share in MIX.items())
    parts = [
        f"Open loop, Poisson arrivals for {duration_s:g} s a rate: {mix}. "
        f"Objectives: {objectives}. Latencies count from when a request was due."
    ]
    for entry in figures:
        offered = f"{entry.per_s:g} requests/s offered: goodput {entry.goodput_per_s:.2f}/s"
        parts.append(f"**{offered}**{_costs(entry)}")
        parts.append(markdown_table(_HEADERS, [_row(kind) for kind in entry.kinds]))
    return "\n\n".join(parts)


def _costs(entry: RateFigures) -> str:
    if entry.batches is None:
        return ""
    batches = ", ".join(f"{model} {size:.2f}" for model, size in entry.batches.items())
    return (
        f"; per request {entry.gateway_cpu_ms:.1f} ms of the gateway's CPU and "
        f"{entry.triton_cpu_ms:.1f} ms of Triton's; requests per execution: {batches}"
    )


def _row(kind: KindFigures) -> list[str]:
    times = (f"{value:.0f}" for value in (kind.p50_ms, kind.p95_ms, kind.p99_ms))
    return [kind.kind, str(kind.offered), str(kind.failed), *times, f"{kind.within:.0%}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    content: Mapping[str, Any]
    if options.url:
        click = tuple(options.click)
        figures = []
        for rate in options.rates:
            goodput, kinds = asyncio.run(
                run_rate(options.url, rate, options.duration, steps=options.steps, click=click)
            )
            figures.append(RateFigures(per_s=rate, goodput_per_s=goodput, kinds=kinds))
        machine = ""
    else:
        with served_gateway() as gateway, nullcontext(Machine(gateway.triton_version())) as watch:
            figures = measure_rates(gateway, options)
            machine = f"{describe(watch.report())}\n\n"
    content = {"options": recorded(options), "rates": [asdict(entry) for entry in figures]}
    publish(
        f"# Mixed load\n\n{machine}{section(figures, options.duration)}", content, options.output
    )


def measure_rates(gateway: ServedGateway, options: argparse.Namespace) -> list[RateFigures]:
    """Every rate of the options, in order."""
    click = find_click(gateway.triton_url, encode_jpeg(photograph(PICTURES[0], 512)))
    return [
        measure(gateway, rate, options.duration, steps=options.steps, click=click)
        for rate in options.rates
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mixed_load")
    parser.description = "Offer a mix of clicks, edits and generations, and report goodput."
    parser.add_argument("--url", help="a gateway that runs already")
    parser.add_argument("--click", type=int, nargs=2, default=[256, 256], help="with --url: x y")
    parser.add_argument("--rates", type=float, nargs="+", default=[2.0, 5.0, 10.0])
    parser.add_argument("--duration", type=float, default=30.0, help="seconds per rate")
    parser.add_argument("--steps", type=positive, default=4, help="of edits and generations")
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
