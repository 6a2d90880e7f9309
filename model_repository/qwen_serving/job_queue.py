"""The line of a pipeline model: interactive jobs first, as many at once as workers and memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from qwen_serving.admission import Admission, Verdict
from qwen_serving.job_errors import (
    DeadlineExceededError,
    DoesNotFitError,
    JobCanceledError,
    OverloadedError,
)

GIB = 2**30
LOOK_AGAIN_S = 0.25
"""Canceled jobs are found by looking: a request does not say when it is canceled."""
TELL_AGAIN_S = 10.0
"""Those who wait are told so often enough that nobody takes the line for dead."""


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """A job and what its place in the line depends on."""

    run: Callable[[], None]
    """The work, in a thread of its own."""
    fail: Callable[[Exception], None]
    """Told when the job ends before it runs."""
    is_canceled: Callable[[], bool]
    still_waits: Callable[[], None] = lambda: None
    """Called now and then while the job is in line."""
    what: str = "A job"
    """Such as "A 64x64 picture", for a sentence."""
    priority: int = 0
    """Lower goes first; jobs of one priority go in the order they came."""
    need_bytes: int = 0
    """Memory beyond the weights."""
    deadline: float | None = None
    """Of `time.monotonic`."""


@dataclass(order=True)
class _Place:
    priority: int
    number: int
    job: QueuedJob = field(compare=False)


class JobQueue:
    """Starts jobs in order; the first in line is never overtaken by those behind it."""

    def __init__(self, *, max_running: int, max_waiting: int, admission: Admission) -> None:
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._admission = admission
        self._workers = ThreadPoolExecutor(max_running, thread_name_prefix="job")
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        """Guards what follows; told when the line or what runs has changed."""
        self._line: list[_Place] = []
        self._running = 0
        self._is_closed = False
        self._dispatcher = threading.Thread(target=self._dispatch, name="line", daemon=True)
        self._dispatcher.start()

    @property
    def waiting(self) -> int:
        """Jobs in line."""
        with self._changed:
            return len(self._line)

    def put(self, job: QueuedJob) -> None:
        """Take a job in; it ends by `job.run` or `job.fail`, in another thread.

        Raises:
            OverloadedError: as many jobs wait as may wait.
        """
        with self._changed:
            waiting = sum(not place.job.is_canceled() for place in self._line)
            has_worker = self._running + len(self._line) < self._max_running
            if waiting >= self._max_waiting and not has_worker:
                message = f"{waiting} jobs wait, the limit is {self._max_waiting}"
                raise OverloadedError(message)
            self._line.append(_Place(job.priority, next(self._numbers), job))
            self._line.sort()
            self._changed.notify()

    def close(self) -> None:
        """Drop what waits, without a word, and wait for what runs."""
        with self._changed:
            self._is_closed = True
            self._line.clear()
            self._changed.notify()
        self._dispatcher.join()
        self._workers.shutdown(wait=True)

    def _dispatch(self) -> None:
        told = time.monotonic()
        while self._look():
            if time.monotonic() - told >= TELL_AGAIN_S:
                told = time.monotonic()
                self._tell_those_who_wait()

    def _look(self) -> bool:
        """End or start what can be, or wait for a change; False when the line is closed.

        A function of its own, so that no job is held while there is nothing to do: whatever
        holds a job holds its request, and Triton unloads no model that has requests.
        """
        with self._changed:
            if self._is_closed:
                return False
            ended = self._take_ended()
            started = self._take_next()
            if not ended and started is None:
                self._changed.wait(LOOK_AGAIN_S if self._line else None)
        for job, error in ended:
            job.fail(error)
        if started is not None:
            self._workers.submit(self._work, started)
        return True

    def _tell_those_who_wait(self) -> None:
        with self._changed:
            waiting = [place.job for place in self._line]
        for job in waiting:
            job.still_waits()

    def _take_ended(self) -> list[tuple[QueuedJob, Exception]]:
        """Jobs that end in the line."""
        ended = []
        for place in list(self._line):
            error = self._end_of(place.job)
            if error is not None:
                self._line.remove(place)
                ended.append((place.job, error))
        return ended

    def _end_of(self, job: QueuedJob) -> Exception | None:
        if job.is_canceled():
            return JobCanceledError()
        if job.deadline is not None and time.monotonic() >= job.deadline:
            return DeadlineExceededError("the job's time was over while it waited in line")
        if self._admission.verdict(job.need_bytes) is Verdict.NEVER:
            memory = self._admission.memory()
            return DoesNotFitError(
                f"{job.what} needs about {job.need_bytes / GIB:.1f} GiB; "
                f"{memory.free / GIB:.1f} GiB of {memory.total / GIB:.1f} GiB can be free for it."
            )
        return None

    def _take_next(self) -> QueuedJob | None:
        if not self._line or self._running >= self._max_running:
            return None
        job = self._line[0].job
        if self._admission.verdict(job.need_bytes) is not Verdict.NOW:
            return None
        del self._line[0]
        self._running += 1
        self._admission.admit(job.need_bytes)
        return job

    def _work(self, job: QueuedJob) -> None:
        try:
            job.run()
        finally:
            with self._changed:
                self._running -= 1
                self._admission.release(job.need_bytes)
                self._changed.notify()
