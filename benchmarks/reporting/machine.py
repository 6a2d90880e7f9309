"""On what a benchmark ran, and how much processor time a process has used."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "numpy", "opencv-python-headless", "simplejpeg", "tritonclient", "grpcio", "fastapi",
    "uvicorn", "httpx", "onnxruntime", "torch", "diffusers",
)  # fmt: skip
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Machine:
    """The machine at the start of a run; `report` adds how busy it was at the end."""

    triton: str
    """Version of the server."""
    cpu: str = field(default_factory=lambda: _cpu_model())
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    system: str = field(default_factory=platform.platform)
    python: str = field(default_factory=platform.python_version)
    load_at_start: tuple[float, float, float] = field(default_factory=os.getloadavg)
    packages: dict[str, str] = field(
        default_factory=lambda: {name: version(name) for name in _PACKAGES}
    )

    def report(self) -> dict[str, Any]:
        """All of it, with the load average of now as `load_at_end`."""
        return {**asdict(self), "load_at_end": os.getloadavg()}


def describe(report: dict[str, Any]) -> str:
    """Sentences for the top of a Markdown report."""
    start, end = (
        " ".join(f"{load:.1f}" for load in report[name])
        for name in ("load_at_start", "load_at_end")
    )
    packages = ", ".join(f"{name} {number}" for name, number in report["packages"].items())
    return (
        f"{report['cpu']}, {report['cores']} cores, {report['system']}. "
        f"Load average (1, 5, 15 min) {start} at the start, {end} at the end.\n"
        f"Python {report['python']}, Triton {report['triton']}, {packages}."
    )


def processor_s(pids: Iterable[int]) -> float:
    """User and system time of the processes so far, in seconds; ended ones count nothing.

    Fields 14 and 15 of /proc/<pid>/stat, see proc(5); they count in hundredths of a second.
    """
    total = 0
    for pid in pids:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
    return total / _TICKS_PER_S


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
