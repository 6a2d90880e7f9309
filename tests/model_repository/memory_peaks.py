"""What a pass takes of main memory at most, and whether an estimate holds."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch

FACTOR = 3.0
"""An estimate is at most so many times what was measured."""


def resident_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak_bytes(work: Callable[[], object]) -> int:
    """By how much this process grew at most while it did some work."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_bytes("VmRSS")
    with torch.inference_mode():
        work()
    return resident_bytes("VmHWM") - before


def within(estimate: int, measured: int) -> None:
    assert measured <= estimate <= FACTOR * measured, f"{estimate / measured:.2f} x measured"
