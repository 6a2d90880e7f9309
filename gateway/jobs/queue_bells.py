"""A queue's thread looks at once when its own process has put something in line.

DBOS looks at its queues from time to time, so that a job waits for half of that time before it
begins, also where nothing else is to do. Here the thread's pause ends when its bell rings. What
another process puts in line is found by the next look, as before. There is no public hook for that:
the pauses are waits for the event that ends the threads of the release that is pinned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

_THREAD = "queue-worker-{}"
"""How DBOS names the thread of a queue."""


class QueueBells:
    """A bell for the thread of each queue."""

    def __init__(self, system: Any, queues: Iterable[str]) -> None:
        """`system`: a launched DBOS, of whose stop events two methods are replaced."""
        self._bells = {_THREAD.format(queue): threading.Event() for queue in queues}
        for event in system.background_thread_stop_events:
            event.wait = self._pausing(event)
            event.set = self._ending(event.set)

    def ring(self, queue: str) -> None:
        """Something is in this line; for any thread."""
        bell = self._bells.get(_THREAD.format(queue))
        if bell is not None:
            bell.set()

    def _pausing(self, event: threading.Event) -> Callable[..., bool]:
        wait = event.wait

        def pause(timeout: float | None = None) -> bool:
            """Until the end, the bell or the time; whether it is the end."""
            bell = self._bells.get(threading.current_thread().name)
            if bell is None:
                return wait(timeout)
            if not event.is_set():
                bell.wait(timeout)
                bell.clear()  # first: what is put in line from now on rings again
            return event.is_set()

        return pause

    def _ending(self, end: Callable[[], None]) -> Callable[[], None]:
        def ending() -> None:
            end()
            for bell in self._bells.values():
                bell.set()

        return ending
