"""How the serving process is set."""

from __future__ import annotations

import gc
import sys
import weakref

from gateway.process.interpreter import settle_memory, share_time


class _Cycle:
    def __init__(self) -> None:
        self.me = self


def test_what_is_there_is_not_looked_through_again_and_what_comes_later_is() -> None:
    rubbish = weakref.ref(_Cycle())
    try:
        settle_memory()
        assert rubbish() is None
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
        later = weakref.ref(_Cycle())
        gc.collect()
        assert later() is None
    finally:
        gc.unfreeze()


def test_threads_take_turns_often() -> None:
    before = sys.getswitchinterval()
    try:
        share_time()
        assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(before)
