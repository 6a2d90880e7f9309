"""Jobs that step together: who is ready first waits a moment for those who are about to be.

Triton merges the requests that wait for a stage. Of jobs whose last step was one pass, the first
one back would find the stage free and take it alone, and the others would follow in ones and twos.
Where nobody else is at work, nobody is waited for: the stage's own `max_queue_delay_microseconds`
then only has to hold together what is sent at once, while a job alone pays it at every step.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PATIENCE_S = 0.02
"""What several jobs do between two steps, one after the other: they share an interpreter."""


@dataclass
class _Group:
    """Jobs whose steps can be one pass."""

    coming: set[Hashable] = field(default_factory=set)
    """Those that had an answer and have not yet come back with their next step."""
    met: int = 0
    """How often all were there."""


class Company:
    """The jobs of one pipeline that are at their steps; any number of threads."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._changed = threading.Condition()
        """Guards what follows; told when all of a group are there."""
        self._groups: defaultdict[Hashable, _Group] = defaultdict(_Group)

    @contextmanager
    def step(self, job: Hashable, kind: Hashable) -> Iterator[None]:
        """Around a step: before it waits for the others of its kind, up to the patience."""
        with self._changed:
            group = self._groups[kind]
            self._note_come(job, group)
            met = group.met
            if group.coming:
                self._changed.wait_for(lambda: group.met != met, self._patience_s)
        try:
            yield
        finally:
            with self._changed:
                self._groups[kind].coming.add(job)

    def leave(self, job: Hashable) -> None:
        """A job steps no more; one that never did may leave too."""
        with self._changed:
            for kind, group in list(self._groups.items()):
                if job in group.coming:
                    self._note_come(job, group)
                    if not group.coming:
                        del self._groups[kind]

    def _note_come(self, job: Hashable, group: _Group) -> None:
        group.coming.discard(job)
        if not group.coming:
            group.met += 1
            self._changed.notify_all()
