"""The arithmetic of the performance kit; nothing is timed against a server here."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import peer_clicks, peer_generations, triton_scaling, tuning
from benchmarks.peers.served import TUTORIAL_PEERS
from benchmarks.perf_analyzer import PerfPoint, read_point
from benchmarks.reporting import click_figures
from benchmarks.reporting.plots import Plot, save_plot
from benchmarks.stage_inputs import REQUESTS, _encoded, stage_requests
from benchmarks.tuning import Tuning
from benchmarks.workloads.open_loop import (
    Arrival,
    Served,
    figures_of,
    goodput_per_s,
    offer,
    poisson_arrivals,
)
from gateway.triton.triton_canaries import STAGE_MODELS, stage_canary

CHECKOUT = Path(__file__).resolve().parents[2]
DIMENSIONS = {"latents": 64, "text": 32, "z": 16}


def test_arrivals_come_at_the_rate_and_in_the_mix() -> None:
    arrivals = poisson_arrivals(50, 200, {"a": 3, "b": 1}, seed=1)
    assert len(arrivals) == pytest.approx(50 * 200, rel=0.05)
    assert sum(a.kind == "a" for a in arrivals) / len(arrivals) == pytest.approx(0.75, abs=0.02)
    gaps = np.diff([arrival.at_s for arrival in arrivals])
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.1), "not exponential"
    assert arrivals == poisson_arrivals(50, 200, {"a": 3, "b": 1}, seed=1)


async def test_a_stalled_server_holds_up_no_request_and_hides_behind_none() -> None:
    sent: list[float] = []
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def stalled(kind: str) -> bool:
        sent.append(loop.time() - started)
        await asyncio.sleep(0.3)
        return kind == "good"

    arrivals = [Arrival(0.0, "good"), Arrival(0.05, "bad"), Arrival(0.1, "good")]
    served = await offer(arrivals, stalled)
    assert max(sent) < 0.25, "a request waited for the answer to the one before"
    assert [entry.ok for entry in served] == [True, False, True]
    assert all(entry.latency_s >= 0.29 for entry in served)


def test_goodput_counts_what_was_good_and_in_time() -> None:
    served = [Served("a", 0.1, True), Served("a", 0.9, True), Served("a", 0.1, False)]
    served += [Served("b", 5.0, True)]
    objectives = {"a": 0.5, "b": 10.0, "c": 1.0}
    assert goodput_per_s(served, objectives, 2.0) == 1.0
    by_kind = {entry.kind: entry for entry in figures_of(served, objectives)}
    assert set(by_kind) == {"a", "b"}
    assert (by_kind["a"].offered, by_kind["a"].failed) == (3, 1)
    assert by_kind["a"].within == pytest.approx(1 / 3)
    assert by_kind["a"].p99_ms == 900


def test_perf_analyzers_report_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    report.write_text(
        "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
        "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
        "p50 latency,p90 latency,p95 latency,p99 latency\n"
        "8,123.4,10,200,1500,100,4000,900,5,7284,8000,9000,11000\n"
    )
    assert read_point("m", report) == PerfPoint("m", 8, 123.4, 7.284, 9.0, 11.0, 1.5, 5.0)


@pytest.mark.parametrize("model", STAGE_MODELS)
def test_ready_inputs_have_the_tensors_of_the_model(model: str) -> None:
    requests = stage_requests(model, DIMENSIONS, 256)
    assert len(requests) == REQUESTS
    canary = stage_canary(model, DIMENSIONS)
    for name, value in requests[0].items():
        assert value.dtype == canary[name].dtype
        assert value.ndim == canary[name].ndim - 1, "perf_analyzer adds the batch dimension"
    first, second = (json.dumps(_encoded(request)) for request in requests[:2])
    assert first != second, "a cache would answer"
    assert json.loads(first)[name]["shape"] == list(value.shape)


CONFIG: dict[str, Any] = {
    "name": "m",
    "max_batch_size": 8,
    "dynamic_batching": {"preferred_batch_size": [8], "max_queue_delay_microseconds": "500"},
    "instance_group": [{"name": "m_0", "count": 1, "kind": "KIND_CPU"}],
}


def test_a_tuning_changes_its_three_settings_and_nothing_else() -> None:
    assert tuning.tuning_of(CONFIG) == Tuning(500, 8, 1)
    changed = Tuning(0, 4, 2).applied_to(CONFIG)
    assert tuning.tuning_of(changed) == Tuning(0, 4, 2)
    assert changed["name"] == "m"
    assert "preferred_batch_size" not in changed["dynamic_batching"]
    assert CONFIG["max_batch_size"] == 8


def swept(speed: dict[Tuning, float], *, margin: float = 0.0) -> tuning.Proposal:
    def measure(setting: Tuning) -> PerfPoint:
        return PerfPoint("m", 8, speed.get(setting, 50.0), 1, 1, 1, 0, 1)

    return tuning.sweep(
        Tuning(500, 8, 1),
        measure,
        delays_us=[0, 500],
        batches=[4, 8],
        instances=[1, 2],
        rounds=3,
        margin=margin,
    )


def test_what_beats_the_default_is_proposed() -> None:
    speed = {Tuning(500, 8, 1): 100.0, Tuning(500, 8, 2): 120.0, Tuning(0, 8, 2): 150.0}
    proposal = swept(speed)
    assert proposal.best == Tuning(0, 8, 2)
    assert proposal.ratio.median == 1.5
    assert "count: 2" in tuning.section("m", 8, proposal, 3)


def test_the_defaults_stand_where_nothing_beats_them() -> None:
    proposal = swept({Tuning(500, 8, 1): 100.0, Tuning(0, 8, 1): 101.0}, margin=0.05)
    assert proposal.best is None
    assert proposal.challenger == Tuning(0, 8, 1)
    assert "The defaults stand" in tuning.section("m", 8, proposal, 3)


def click_round(
    server: str, clients: int, rate: float, cpu: float, triton: float
) -> click_figures.RoundFigures:
    return click_figures.RoundFigures(
        server=server,
        concurrency=clients,
        round=0,
        p50_ms=1,
        p99_ms=2,
        requests_per_s=rate,
        cpu_ms=cpu,
        triton_cpu_ms=triton,
    )


def test_peers_are_compared_with_the_direct_client_and_cpu_over_clients() -> None:
    figures = [
        click_round(server, clients, rate, cpu, triton)
        for clients, cpu, triton in ((1, 50.0, 20.0), (64, 41.5, 10.0))
        for server, rate in ((click_figures.DIRECT, 10.0), (click_figures.GATEWAY, 12.0))
    ]
    assert click_figures.rate_ratio(figures, click_figures.GATEWAY, 64).median == 1.2
    costs = click_figures.cpu_by_clients(figures)
    assert costs["gateway's own"] == {1: 30.0, 64: 31.5}
    assert costs["its Triton's"] == {1: 20.0, 64: 10.0}
    text = click_figures.section(figures)
    assert re.search(r"gateway's own +\| +30.0 \| +31.5 \| +5.0% \| +yes", text)
    assert re.search(r"\| gateway +\| +50.0 \| +41.5 \| +20.5% \| +no", text)


def test_generations_are_compared_round_by_round() -> None:
    figures = [
        peer_generations.RoundFigures(server=server, jobs=8, round=n, wall_s=wall, cpu_s=cpu)
        for n, walls in enumerate(((2.0, 4.0), (3.0, 4.0)))
        for server, wall, cpu in zip(
            (peer_generations.GATEWAY, peer_generations.DIFFUSERS), walls, (0.5, 1.0), strict=True
        )
    ]
    text = peer_generations.section(figures)
    assert "| 8            |      2.50 |" in text
    assert "0.62 (0.50 to 0.75)" in text


def test_masks_that_differ_end_the_run() -> None:
    def contender(mask: str) -> peer_clicks.Contender:
        run = peer_clicks.ClickRun([0.1], 0.1, 0.1, [mask])
        return peer_clicks.Contender(lambda pictures, clients: run, lambda: 0.0)

    contenders = {"a": contender("x"), "b": contender("y")}
    with pytest.raises(RuntimeError, match="differ from those of a: b"):
        peer_clicks.rounds_of(contenders, iter([b""] * 9), concurrency=[1], rounds=1, requests=1)
    contenders = {"a": contender("x"), TUTORIAL_PEERS[0]: contender("y")}
    peer_clicks.rounds_of(contenders, iter([b""] * 9), concurrency=[1], rounds=1, requests=1)


def test_the_mean_batch_is_that_of_the_round() -> None:
    counts = iter([(2, 2), (3, 3), (8, 4), (16, 6)])
    run = peer_clicks.ClickRun([0.1], 0.1, 0.1, ["x"])
    contender = peer_clicks.Contender(
        lambda pictures, clients: run, lambda: 0.0, counts=lambda: next(counts)
    )
    options = {"concurrency": [1], "rounds": 1, "requests": 1}
    (figure,) = peer_clicks.rounds_of({"a": contender}, iter([b""] * 9), **options)
    assert figure.batch == 4.0


def test_rounds_end_with_patience_but_not_before_three() -> None:
    run = peer_clicks.ClickRun([0.1], 0.1, 0.1, ["x"])
    contenders = {"a": peer_clicks.Contender(lambda pictures, clients: run, lambda: 0.0)}
    options = {"concurrency": [1, 2], "rounds": 5, "requests": 1}
    hurried = peer_clicks.rounds_of(contenders, iter([b""] * 99), **options, patience_s=0)
    assert {figure.round for figure in hurried} == {0, 1, 2}
    assert len(hurried) == 6
    patient = peer_clicks.rounds_of(contenders, iter([b""] * 99), **options)
    assert {figure.round for figure in patient} == {0, 1, 2, 3, 4}


def test_the_least_busy_triton_shows() -> None:
    entry = triton_scaling.RoundFigures(
        tritons=2,
        round=0,
        p50_ms=1,
        p99_ms=1,
        requests_per_s=1,
        gateway_cpu_ms=1,
        triton_cpu_ms=1,
        least_share=0.96,
    )
    assert "0.96" in triton_scaling.section([entry])


def test_plots_are_written_twice_and_alike(tmp_path: Path) -> None:
    plot = Plot(title="t", x="x", y="y", lines={"a": [(1, 2), (2, 3)]}, log_x=True)
    assert save_plot(plot, tmp_path / "plots", "name") == "![t](plots/name.png)"
    svg = (tmp_path / "plots" / "name.svg").read_text()
    save_plot(plot, tmp_path / "plots", "name")
    assert (tmp_path / "plots" / "name.svg").read_text() == svg
    assert (tmp_path / "plots" / "name.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "script",
    ["mixed_load", "peer_clicks", "peer_generations", "triton_scaling", "tuning", "stage_inputs"],
)
def test_scripts_explain_themselves(script: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{script}", "--help"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--output" in done.stdout
