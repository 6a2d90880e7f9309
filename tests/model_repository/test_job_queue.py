"""The line of a pipeline model: order, limits, deadlines, memory."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from qwen_serving.admission import Admission, Memory
from qwen_serving.job_errors import (
    DeadlineExceededError,
    DoesNotFitError,
    JobCanceledError,
    OverloadedError,
)
from qwen_serving.job_queue import JobQueue, QueuedJob

MEMORY = Memory(free=100, total=200)


class Line:
    """A queue whose jobs run until `finish`, and what became of them."""

    def __init__(self, *, max_running: int = 1, max_waiting: int = 8) -> None:
        self.queue = JobQueue(
            max_running=max_running, max_waiting=max_waiting, admission=Admission(lambda: MEMORY)
        )
        self.started: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.canceled: set[str] = set()
        self._gates: dict[str, threading.Event] = {}

    def put(
        self, name: str, *, priority: int = 0, need: int = 0, deadline: float | None = None
    ) -> None:
        gate = self._gates[name] = threading.Event()

        def run() -> None:
            self.started.append(name)
            gate.wait(20)

        job = QueuedJob(
            run=run,
            fail=lambda error: self.failures.update({name: error}),
            is_canceled=lambda: name in self.canceled,
            what=f"Job {name}",
            priority=priority,
            need_bytes=need,
            deadline=deadline,
        )
        self.queue.put(job)

    def run(self, name: str, **options: int) -> None:
        """Put a job in line and wait until it runs."""
        self.put(name, **options)  # type: ignore[arg-type]
        until(lambda: name in self.started)

    def finish(self, name: str) -> None:
        self._gates[name].set()

    def close(self) -> None:
        for gate in self._gates.values():
            gate.set()
        self.queue.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def finish_all(line: Line, count: int) -> list[str]:
    for number in range(count):
        until(lambda number=number: len(line.started) > number)
        line.finish(line.started[number])
    return line.started


def test_jobs_of_one_priority_go_in_the_order_they_came(line: Line) -> None:
    for name in "abcd":
        line.put(name)
    assert finish_all(line, 4) == list("abcd")


def test_interactive_jobs_start_before_waiting_batch_jobs(line: Line) -> None:
    line.run("runs", priority=1)
    for name, priority in (("b1", 1), ("b2", 1), ("i1", 0), ("i2", 0)):
        line.put(name, priority=priority)
    assert finish_all(line, 5) == ["runs", "i1", "i2", "b1", "b2"]


def test_as_many_run_at_once_as_there_are_workers() -> None:
    line = Line(max_running=2)
    try:
        line.run("a")
        line.run("b")
        line.put("c")
        assert line.queue.waiting == 1
        line.finish("a")
        until(lambda: "c" in line.started)
    finally:
        line.close()


def test_one_more_than_may_wait_is_refused() -> None:
    line = Line(max_waiting=2)
    try:
        line.run("runs")
        line.put("a")
        line.put("b")
        with pytest.raises(OverloadedError, match=r"^2 jobs wait, the limit is 2$"):
            line.put("c")
        line.canceled.add("a")
        line.put("d")
    finally:
        line.close()


def test_without_waiting_places_a_free_worker_is_used() -> None:
    line = Line(max_waiting=0)
    try:
        line.run("a")
        with pytest.raises(OverloadedError, match=r"^0 jobs wait"):
            line.put("b")
    finally:
        line.close()


def test_a_job_whose_time_is_over_in_line_fails_and_never_runs(line: Line) -> None:
    line.run("runs")
    line.put("late", deadline=time.monotonic() + 0.05)
    line.put("patient")
    until(lambda: "late" in line.failures)
    assert isinstance(line.failures["late"], DeadlineExceededError)
    assert finish_all(line, 2) == ["runs", "patient"]


def test_a_job_canceled_in_line_never_runs(line: Line) -> None:
    line.run("runs")
    line.put("canceled")
    line.canceled.add("canceled")
    until(lambda: "canceled" in line.failures)
    assert isinstance(line.failures["canceled"], JobCanceledError)
    assert line.started == ["runs"]


def test_a_job_that_cannot_fit_is_refused_with_the_figures(line: Line) -> None:
    line.run("runs", need=90)
    line.put("huge", need=101)
    until(lambda: "huge" in line.failures)
    assert isinstance(line.failures["huge"], DoesNotFitError)
    assert str(line.failures["huge"]).startswith("Job huge needs about 0.0 GiB; ")


def test_a_job_that_fits_alone_waits_for_its_turn_and_is_not_overtaken() -> None:
    line = Line(max_running=4)
    try:
        line.run("runs", need=60)
        line.put("large", need=50)
        line.put("small", need=10)
        time.sleep(0.1)
        assert line.started == ["runs"]
        line.finish("runs")
        until(lambda: line.started == ["runs", "large", "small"])
    finally:
        line.close()


def test_a_job_that_raises_gives_its_place_back(line: Line) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    line.queue.put(QueuedJob(run=broken, fail=lambda _: None, is_canceled=lambda: False))
    line.run("next")


def test_an_ended_job_is_held_by_nobody(line: Line) -> None:
    """Triton unloads no model whose requests somebody holds."""

    class Request:
        def run(self) -> None:
            """Done at once."""

    request = Request()
    held = weakref.ref(request)
    line.queue.put(QueuedJob(run=request.run, fail=lambda _: None, is_canceled=lambda: False))
    del request
    until(lambda: held() is None)


def test_close_waits_for_what_runs_and_drops_what_waits(line: Line) -> None:
    line.run("runs")
    line.put("waits")
    closing = threading.Thread(target=line.queue.close)
    closing.start()
    until(lambda: line.queue.waiting == 0)
    assert closing.is_alive()
    line.finish("runs")
    closing.join(10)
    assert not closing.is_alive()
    assert (line.started, line.failures) == (["runs"], {})
