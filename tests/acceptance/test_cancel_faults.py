"""A cancel holds whatever dies: its worker is killed before it heard of it, and returns or not."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gateway.jobs.job_tables import results
from tests.acceptance.fault_fleet import Fleet, event_stream
from tests.acceptance.memory_member import STEP_S, STEPS_FILE
from tests.acceptance.served import Served, eventually
from tests.private_postgres import PrivatePostgres

MODULE = "tests.acceptance.memory_member"
LONG = {"task": "generate", "prompt": "a long job", "size": "64x64", "num_inference_steps": 100}
"""Takes half a minute: none ends by itself here."""


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.db"
        return
    server = PrivatePostgres()
    yield server.url("cancels")
    server.stop()


def job_of(gateway: Served, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.http.get(f"/v1/jobs/{job_id}").json()
    return found


def cancel_unheard(gateway: Served, worker: Served, job_id: str) -> None:
    """Cancel a job at work while its worker does not run; it may hold a lock, then it goes on."""

    def canceled() -> bool:
        worker.process.send_signal(signal.SIGSTOP)
        try:
            answer = gateway.http.post(f"/v1/jobs/{job_id}/cancel", timeout=3)
        except httpx.TimeoutException:
            worker.process.send_signal(signal.SIGCONT)
            return False
        return answer.json()["status"] == "canceled"

    eventually(canceled, timeout_s=60)


def results_of(database_url: str, job_id: str) -> list[str]:
    engine = sa.create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        query = sa.select(results.c.status).where(results.c.job_id == job_id)
        found = list(connection.execute(query).scalars())
    engine.dispose()
    return found


@pytest.mark.timeout(200)
@pytest.mark.parametrize("heir", ["worker-0", "worker-1"], ids=["returns", "never returns"])
def test_a_worker_killed_between_a_cancel_and_its_effect(
    tmp_path: Path, database_url: str, heir: str
) -> None:
    fleet = Fleet(
        tmp_path / "fleet",
        module=MODULE,
        database_url=database_url,
        jobs_per_model=1,
        progress_interval_s=0,
        worker_lost_after_s=600 if heir == "worker-0" else 3,
    )
    try:
        gateway = fleet.start("gateway", "serve", "--no-worker")
        worker = fleet.start("worker-0", "worker")
        gateway.wait_ready()
        running, waiting = (gateway.submit(**LONG)["id"] for _ in range(2))
        eventually(lambda: job_of(gateway, running)["step"] >= 1, timeout_s=60)
        cancel_unheard(gateway, worker, running)
        fleet.kill("worker-0")
        fleet.start(heir, "worker")
        # The place of the canceled job is free again: nothing is run twice, nothing stuck.
        eventually(lambda: job_of(gateway, waiting)["step"] >= 1, timeout_s=90)
        ended = job_of(gateway, running)
        assert (ended["status"], ended["attempts"]) == ("canceled", 1)
        events = event_stream(gateway.url, running)
        assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
        assert [name for _, name, _ in events].count("canceled") == 1
        assert events[-1][1] == "canceled"
        assert results_of(database_url, running) == ["canceled"]
        assert gateway.http.post(f"/v1/jobs/{waiting}/cancel").json()["status"] == "canceled"
    finally:
        fleet.stop()


@pytest.mark.timeout(120)
def test_a_worker_elsewhere_takes_no_further_step(tmp_path: Path, database_url: str) -> None:
    folder = tmp_path / "fleet"
    fleet = Fleet(folder, module=MODULE, database_url=database_url, progress_interval_s=0)
    try:
        gateway = fleet.start("gateway", "serve", "--no-worker")
        fleet.start("worker-0", "worker")
        gateway.wait_ready()
        job = gateway.submit(**LONG)["id"]
        eventually(lambda: job_of(gateway, job)["step"] >= 3, timeout_s=60)
        assert gateway.http.post(f"/v1/jobs/{job}/cancel").json()["status"] == "canceled"
        at_cancel = (folder / STEPS_FILE).stat().st_size
        time.sleep(10 * STEP_S)
        assert (folder / STEPS_FILE).stat().st_size <= at_cancel + 2
        assert 3 <= at_cancel < 90
    finally:
        fleet.stop()
