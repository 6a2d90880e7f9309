"""What a process that serves or works does first, before there are threads or pictures."""

from __future__ import annotations

from gateway.process.freed_memory import keep_freed_memory
from gateway.process.image_work import keep_opencv_to_one_thread
from gateway.process.interpreter import share_time


def prepare_process() -> None:
    """Set how its threads share time and processors, and what memory it keeps."""
    share_time()
    keep_opencv_to_one_thread()
    keep_freed_memory()
