"""Jobs wait a moment for those whose next step is about to come, and for nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from qwen_serving.company import Company

LONG_S = 30.0
MOMENT_S = 0.2
pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def step(company: Company, job: str, kind: str = "256") -> None:
    with company.step(job, kind):
        pass


def waits(begun: Future[None]) -> bool:
    time.sleep(MOMENT_S)
    return not begun.done()


def test_a_job_alone_waits_for_nobody() -> None:
    company = Company(LONG_S)
    for _ in range(100):
        step(company, "a")


def test_who_is_first_back_waits_for_those_of_the_last_step(threads: ThreadPoolExecutor) -> None:
    company = Company(LONG_S)
    with company.step("a", "256"), company.step("b", "256"), company.step("c", "256"):
        pass  # one pass
    both = [threads.submit(step, company, job) for job in "ab"]
    assert waits(both[0])
    assert waits(both[1])
    step(company, "c")
    for begun in both:
        begun.result(timeout=10)


def test_it_waits_no_longer_than_its_patience(threads: ThreadPoolExecutor) -> None:
    company = Company(MOMENT_S)
    threads.submit(step, company, "a").result()
    threads.submit(step, company, "b").result()  # waited for a, which was at nothing else
    started = time.monotonic()
    step(company, "a")
    assert MOMENT_S / 2 < time.monotonic() - started < LONG_S / 2


def test_who_leaves_is_not_waited_for(threads: ThreadPoolExecutor) -> None:
    company = Company(LONG_S)
    company.leave("nobody")
    step(company, "a")
    begun = threads.submit(step, company, "b")
    assert waits(begun)
    company.leave("a")
    begun.result(timeout=10)
    step(company, "b")


def test_another_kind_is_not_waited_for() -> None:
    company = Company(LONG_S)
    step(company, "a", "256")
    step(company, "b", "512")
    step(company, "a", "256")


def test_a_job_at_its_step_is_not_waited_for(threads: ThreadPoolExecutor) -> None:
    """Its pass may take seconds: what comes meanwhile is in line for the next one."""
    company, ends, began = Company(LONG_S), threading.Event(), threading.Event()

    def long_step() -> None:
        with company.step("a", "256"):
            began.set()
            ends.wait(10)

    running = threads.submit(long_step)
    began.wait(10)
    for _ in range(3):
        step(company, "b")
    ends.set()
    running.result()


def test_a_step_that_fails_is_over(threads: ThreadPoolExecutor) -> None:
    company = Company(LONG_S)
    with pytest.raises(ValueError, match="stage"), company.step("a", "256"):
        raise ValueError("stage")
    begun = threads.submit(step, company, "b")
    assert waits(begun)
    company.leave("a")
    begun.result(timeout=10)
