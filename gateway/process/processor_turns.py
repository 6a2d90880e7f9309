"""Who gets a processor first where there are fewer than want one: the event loop's thread.

By default a thread that wakes waits until the one at work has had its slice, which Linux looks at
with each tick of its clock: 4 ms at 250 Hz, and as much again behind the next one. An event loop
wants a processor for a moment and often. Nothing here needs a privilege, and where the system
refuses or does not know it, all goes on as by default.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from contextlib import suppress

NICENESS = 5
"""Of all that may wait: a quarter of a processor that the event loop's thread wants too."""

_SLICE_NS = 100_000
"""The shortest that Linux grants; who asks for a shorter one goes before who runs (from 6.12)."""
_SYSTEM_CALL = {"x86_64": 314, "aarch64": 274}.get(platform.machine())
_RESET_ON_FORK = 1


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


def _is_usual() -> bool:
    """Whether nobody chose otherwise for the calling thread, real time for instance."""
    return sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER
