"""kill -9 of everything while a hundred jobs run: none lost, none with two results."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.durable import JOBS, check
from tests.acceptance.fault_fleet import Fleet, Submitter
from tests.acceptance.served import Served, eventually
from tests.private_postgres import PrivatePostgres

SETTINGS = {"max_job_attempts": 6, "worker_lost_after_s": 600, "preview_every": 0}
"""More attempts than the faults below can cost one job: then every job has to succeed."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fleet"


def kill_stub(gateway: Served) -> None:
    os.kill(gateway.stub_of("qwen_image_transformer"), signal.SIGKILL)


def kill_triton(gateway: Served) -> None:
    os.kill(gateway.triton["pid"], signal.SIGKILL)


def after(submitter: Submitter, accepted: int, fault: Callable[[], object]) -> None:
    eventually(lambda: len(submitter.accepted) >= accepted, timeout_s=120)
    fault()


@pytest.mark.timeout(400)
def test_one_process_on_sqlite(gateway: Served, folder: Path) -> None:
    fleet = Fleet(folder, triton_url=gateway.triton["grpc"], **SETTINGS)
    served = fleet.start("only", "serve")
    try:
        served.wait_ready()
        submitter = Submitter([served.url], JOBS)
        submitter.start()

        def kill_the_gateway() -> None:
            fleet.kill("only")
            fleet.start("only")

        after(submitter, 15, kill_the_gateway)
        after(submitter, 35, kill_the_gateway)
        after(submitter, 55, lambda: kill_stub(gateway))
        after(submitter, 80, kill_the_gateway)
        after(submitter, 95, lambda: kill_triton(gateway))
        check(served.url, served.url, f"sqlite:///{folder}/jobs.db", submitter)
    finally:
        fleet.stop()


@pytest.mark.timeout(400)
def test_two_gateways_and_two_workers_on_postgres(
    gateway: Served, folder: Path, postgres: PrivatePostgres
) -> None:
    url = postgres.url("fleet")
    fleet = Fleet(folder, triton_url=gateway.triton["grpc"], database_url=url, **SETTINGS)
    try:
        urls = [fleet.start(name, "serve", "--no-worker").url for name in ("left", "right")]
        for name in ("worker-0", "worker-1"):
            fleet.start(name, "worker")
        for name in ("left", "right"):
            fleet.member(name).wait_ready()
        submitter = Submitter(urls, JOBS)
        submitter.start()

        def kill_and_start(name: str) -> Callable[[], object]:
            return lambda: (fleet.kill(name), fleet.start(name))

        def kill_postgres() -> None:
            postgres.kill()
            time.sleep(1)
            postgres.start()

        after(submitter, 15, kill_and_start("worker-0"))
        after(submitter, 30, kill_postgres)
        after(submitter, 45, kill_and_start("left"))
        after(submitter, 60, kill_and_start("worker-1"))
        after(submitter, 75, lambda: kill_stub(gateway))
        after(submitter, 95, lambda: kill_triton(gateway))
        check(urls[0], urls[1], url, submitter)
    finally:
        fleet.stop()
