"""kill -9 of gateways, workers and PostgreSQL at random points, over a model server in memory."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.durable import JOBS, check
from tests.acceptance.fault_fleet import Fleet, Submitter, ended
from tests.acceptance.served import eventually
from tests.private_postgres import PrivatePostgres

MODULE = "tests.acceptance.memory_member"
SETTINGS = {"max_job_attempts": 20, "worker_lost_after_s": 600, "progress_interval_s": 0}
KILLS = 5


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.stop()


@pytest.mark.timeout(200)
def test_one_process_on_sqlite(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, module=MODULE, **SETTINGS)
    moments = random.Random(7)
    served = fleet.start("only", "serve")
    try:
        served.wait_ready()
        submitter = Submitter([served.url], JOBS)
        submitter.start()
        for _ in range(KILLS):
            fleet.member("only").wait_ready()
            time.sleep(moments.uniform(0.2, 1.5))
            fleet.kill("only")
            fleet.start("only")
        check(served.url, served.url, f"sqlite:///{tmp_path}/jobs.db", submitter)
    finally:
        fleet.stop()


@pytest.mark.timeout(200)
def test_two_gateways_and_two_workers_on_postgres(
    tmp_path: Path, postgres: PrivatePostgres
) -> None:
    url = postgres.url("fleet")
    fleet = Fleet(tmp_path, module=MODULE, database_url=url, **SETTINGS)
    moments = random.Random(8)
    try:
        urls = [fleet.start(name, "serve", "--no-worker").url for name in ("left", "right")]
        for name in ("worker-0", "worker-1"):
            fleet.start(name, "worker")
        for name in ("left", "right"):
            fleet.member(name).wait_ready()
        submitter = Submitter(urls, JOBS)
        submitter.start()
        victims = ["worker-0", "left", "postgres", "worker-1", "right", "worker-0"]
        for victim in victims:
            time.sleep(moments.uniform(0.3, 2.0))
            if victim == "postgres":
                postgres.kill()
                postgres.start()
            else:
                fleet.kill(victim)
                fleet.start(victim)
        check(urls[0], urls[1], url, submitter)
    finally:
        fleet.stop()


@pytest.mark.timeout(150)
def test_the_jobs_of_a_worker_that_never_returns_go_to_another(
    tmp_path: Path, postgres: PrivatePostgres
) -> None:
    settings = SETTINGS | {"worker_lost_after_s": 4}
    fleet = Fleet(tmp_path, module=MODULE, database_url=postgres.url("takeover"), **settings)
    try:
        url = fleet.start("left", "serve", "--no-worker").url
        fleet.start("worker-0", "worker")
        fleet.member("left").wait_ready()
        submitter = Submitter([url], 6)
        submitter.start()
        eventually(lambda: running_jobs(url) > 0, timeout_s=60)
        fleet.kill("worker-0")
        fleet.start("worker-1", "worker")
        submitter.join(timeout=60)
        done = ended(url, list(submitter.accepted.values()))
        assert [job["status"] for job in done] == ["succeeded"] * 6
        assert max(job["attempts"] for job in done) == 2
    finally:
        fleet.stop()


def running_jobs(url: str) -> int:
    answer = httpx.get(f"{url}/v1/jobs", params={"status": "running"}, timeout=20)
    return len(answer.json()["data"])
