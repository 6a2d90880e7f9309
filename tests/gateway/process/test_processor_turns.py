"""Niceness and policy of threads, as the system has them: in threads of their own, mostly."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL, byref, sizeof
from pathlib import Path

import pytest
from fastapi import FastAPI

from gateway.app import create_app
from gateway.inference_fake import FakeBackend
from gateway.jobs.job_engine_memory import MemoryEngine
from gateway.process import processor_turns
from gateway.process.image_work import image_work
from gateway.process.processor_turns import NICENESS, give_way, go_first, loop_first
from gateway.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="niceness of threads is Linux's")


def in_thread(*work: Callable[[], object]) -> object:
    """What the last one returns, in a thread of its own."""
    with ThreadPoolExecutor(1) as executor:
        return [executor.submit(one).result() for one in work][-1]


def standing() -> tuple[int, int]:
    """Policy and niceness of the calling thread."""
    thread = threading.get_native_id()
    policy = os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK
    return policy, os.getpriority(os.PRIO_PROCESS, thread)


def slice_ns() -> int:
    """Of the calling thread, as sched_getattr(2) says; 0: the system's own."""
    found = processor_turns._Attributes()
    number = {314: 315, 274: 275}[processor_turns._SYSTEM_CALL or 0]
    assert CDLL(None).syscall(number, 0, byref(found), sizeof(found), 0) == 0
    return int(found.runtime_ns)


def may_be_real_time() -> bool:
    """Whether the system lets a thread of this process."""

    def try_it() -> bool:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            return False
        return True

    return bool(in_thread(try_it))


def be_nobody() -> None:
    """The calling thread alone, which the system then lets do no more than anyone."""
    number = {"x86_64": 117, "aarch64": 147}[platform.machine()]  # setresuid(2)
    assert CDLL(None, use_errno=True).syscall(number, -1, 65534, -1) == 0


def in_loop_first(*, real_time: bool) -> Callable[[], list[object]]:
    """Where the loop's thread stands meanwhile, one that it starts, a worker; and it afterwards."""

    async def look() -> list[object]:
        async with loop_first(real_time=real_time):
            seen = [standing()[0], in_thread(standing), (await asyncio.to_thread(standing))[0]]
        return [*seen, standing()[0]]

    return lambda: asyncio.run(look())


needs_leave = pytest.mark.skipif(
    sys.platform == "linux" and not may_be_real_time(),
    reason="real time needs root or RLIMIT_RTPRIO",
)


def test_a_thread_that_gives_way_is_nicer_and_preempts_nobody() -> None:
    before = standing()
    assert in_thread(give_way, standing) == (os.SCHED_BATCH, max(NICENESS, before[1]))
    assert in_thread(give_way, give_way, standing) == (os.SCHED_BATCH, max(NICENESS, before[1]))
    assert standing() == before


def test_a_nicer_process_stays_as_it_is() -> None:
    def be_nicest() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)

    assert in_thread(be_nicest, give_way, standing) == (os.SCHED_BATCH, 19)
    assert in_thread(be_nicest, go_first, standing) == (os.SCHED_OTHER, 19)


def test_a_policy_that_someone_chose_stays() -> None:
    def be_idle() -> None:
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))

    assert in_thread(be_idle, give_way, standing) == (os.SCHED_IDLE, standing()[1])
    assert in_thread(be_idle, go_first, standing) == (os.SCHED_IDLE, standing()[1])


@pytest.mark.skipif(
    processor_turns._SYSTEM_CALL is None, reason="the number of the system call is not known here"
)
def test_who_goes_first_has_a_short_slice_which_its_threads_do_not_inherit() -> None:
    usual = in_thread(slice_ns)
    if usual == 0:
        pytest.skip("slices can be asked for from Linux 6.12 on")
    assert usual != 100_000
    assert in_thread(go_first, slice_ns) == 100_000
    assert in_thread(go_first, lambda: in_thread(slice_ns)) == usual


@needs_leave
def test_where_it_may_a_loop_is_real_time_for_its_time() -> None:
    usual = standing()
    expected = [os.SCHED_RR, usual, os.SCHED_BATCH, os.SCHED_OTHER]
    assert in_thread(in_loop_first(real_time=True)) == expected
    assert in_thread(in_loop_first(real_time=True), in_loop_first(real_time=True)) == expected


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no known number")
def test_where_it_may_not_a_loop_goes_first_as_anyone_can() -> None:
    if os.geteuid():
        pytest.skip("only root can become nobody")
    expected = [os.SCHED_OTHER, standing(), os.SCHED_BATCH, os.SCHED_OTHER]
    assert in_thread(be_nobody, in_loop_first(real_time=True)) == expected


def test_a_loop_is_not_real_time_where_that_is_off() -> None:
    expected = [os.SCHED_OTHER, standing(), os.SCHED_BATCH, os.SCHED_OTHER]
    assert in_thread(in_loop_first(real_time=False)) == expected


async def test_work_on_pictures_gives_way() -> None:
    policy, niceness = await image_work(standing)
    assert (policy, niceness) == (os.SCHED_BATCH, max(NICENESS, standing()[1]))


def gateway_in(folder: Path, *, real_time: bool) -> FastAPI:
    """One that paints nothing."""
    settings = Settings(data_dir=folder, real_time_loop=real_time)
    return create_app(settings, backend=FakeBackend(), engine=MemoryEngine(jobs_per_model=1))


async def test_a_gateway_at_work_lets_its_event_loop_go_first(tmp_path: Path) -> None:
    app = gateway_in(tmp_path, real_time=False)
    async with app.router.lifespan_context(app):
        assert (await asyncio.to_thread(standing))[0] == os.SCHED_BATCH
        assert standing()[0] == os.SCHED_OTHER
        if processor_turns._SYSTEM_CALL is not None and slice_ns() != 0:
            assert slice_ns() == 100_000


@needs_leave
async def test_a_gateway_is_real_time_where_it_may(tmp_path: Path) -> None:
    app = gateway_in(tmp_path, real_time=True)
    async with app.router.lifespan_context(app):
        assert standing()[0] == os.SCHED_RR
    assert standing()[0] == os.SCHED_OTHER
