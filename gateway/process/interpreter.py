"""How the Python process of a gateway or worker is set, so that its event loop is seldom kept."""

from __future__ import annotations

import gc
import sys

_SWITCH_S = 0.0002
"""With the default of 5 ms a worker thread at work keeps the event loop waiting for so long."""


def share_time() -> None:
    """Threads take turns often."""
    sys.setswitchinterval(_SWITCH_S)


def settle_memory() -> None:
    """Call it when all is imported and built: what is there is never looked through again.

    A full collection over all modules, schemas and tables stops every thread for 60 to 100 ms; over
    what requests leave it takes less than one.
    """
    gc.collect()
    gc.freeze()
