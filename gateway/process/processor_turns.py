"""Who gets a processor first where there are fewer than want one: the event loop's thread.

By default a thread that wakes waits until the one at work has had its slice, which Linux looks at
with each tick of its clock: 4 ms at 250 Hz, and as much again behind the next one. An event loop
wants a processor for a moment and often. Real time gives it one at once and needs the operator's
leave; short slices need none. Where the system refuses or does not know them, all goes on as by
default.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

NICENESS = 5
"""Of all that may wait: a quarter of a processor that the event loop's thread wants too."""

_SLICE_NS = 100_000
"""The shortest that Linux grants; who asks for a shorter one goes before who runs (from 6.12)."""
_SYSTEM_CALL = {"x86_64": 314, "aarch64": 274}.get(platform.machine())
_RESET_ON_FORK = 1
_LEAST_PRIORITY = 1
"""Of real time: before every usual thread, behind whatever else is real time."""


class _Attributes(ctypes.Structure):
    """`struct sched_attr`, sched_setattr(2)."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


@asynccontextmanager
async def loop_first(*, real_time: bool) -> AsyncIterator[None]:
    """The running loop's thread first; what it hands to `asyncio.to_thread` comes after it.

    Args:
        real_time: whether that may be by real time, for as long as the context is open.
    """
    asyncio.get_running_loop().set_default_executor(
        ThreadPoolExecutor(thread_name_prefix="asyncio", initializer=give_way)
    )
    if not (real_time and _go_real_time()):
        go_first()
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))


def go_first() -> None:
    """The calling thread runs as soon as it wakes, before those that give way.

    Threads that it starts do not inherit that.
    """
    if _SYSTEM_CALL is None or not _is_usual():
        return
    wanted = _Attributes(
        size=ctypes.sizeof(_Attributes),
        policy=os.SCHED_OTHER,
        flags=_RESET_ON_FORK,
        nice=os.getpriority(os.PRIO_PROCESS, threading.get_native_id()),
        runtime_ns=_SLICE_NS,
    )
    ctypes.CDLL(None).syscall(_SYSTEM_CALL, 0, ctypes.byref(wanted), 0)


def give_way() -> None:
    """The calling thread, and what it starts, lets others go first; for a pool's initializer."""
    if not _is_usual():
        return
    thread = threading.get_native_id()
    with suppress(OSError):
        os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
        niceness = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(niceness, NICENESS))


def _go_real_time() -> bool:
    """Put the calling thread before every usual one, not those that it starts; whether it may.

    Linux leaves the usual ones 5 % of a processor that a real-time thread never lets go of.
    """
    if not _is_usual():
        return False
    policy, priority = os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_LEAST_PRIORITY)
    try:
        os.sched_setscheduler(0, policy, priority)
    except OSError:
        return False
    return True


def _is_usual() -> bool:
    """Whether nobody chose otherwise for the calling thread, real time for instance."""
    if sys.platform != "linux":
        return False
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER
