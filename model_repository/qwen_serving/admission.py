"""Which jobs may run beside each other in the memory there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Memory:
    """What a device has, in bytes."""

    free: int
    total: int


class Verdict(Enum):
    """Whether a job may start."""

    NOW = "now"
    LATER = "later"
    """It fits alone, but not beside the jobs that run."""
    NEVER = "never"


class Admission:
    """Counts what the running jobs may need; for one thread at a time.

    A device's free bytes count too little once jobs have run, because each stage keeps what it
    needed in a reserve of its own and needs it again for the next job. So what became less since
    the most was free counts as ours, up to the largest sum of needs that ran at once:

        alone = free + min(most free ever - free, largest sum of needs)
        room  = alone - sum of needs of the running jobs
    """

    def __init__(self, read_memory: Callable[[], Memory]) -> None:
        self._read_memory = read_memory
        self._most_free = 0
        self._running = 0
        self._largest = 0

    def verdict(self, need: int) -> Verdict:
        """Whether a job that needs so many bytes beyond the weights may start."""
        alone = self.memory().free
        if need > alone:
            return Verdict.NEVER
        return Verdict.NOW if need <= alone - self._running else Verdict.LATER

    def memory(self) -> Memory:
        """What a job could have if it were the only one."""
        now = self._read_memory()
        self._most_free = max(self._most_free, now.free)
        ours = min(self._most_free - now.free, self._largest)
        return Memory(now.free + ours, now.total)

    def admit(self, need: int) -> None:
        """A job starts."""
        self._running += need
        self._largest = max(self._largest, self._running)

    def release(self, need: int) -> None:
        """A job that was admitted has ended."""
        self._running -= need


def main_memory(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> Memory:
    """Main memory that this process can have: the machine's, or its control group's if less."""
    lines = (line.split() for line in meminfo.read_text().splitlines())
    kilobytes = {line[0].rstrip(":"): int(line[1]) for line in lines if len(line) > 1}
    free, total = kilobytes["MemAvailable"] * 1024, kilobytes["MemTotal"] * 1024
    limit = _number(cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes")
    used = _number(cgroup / "memory.current", cgroup / "memory/memory.usage_in_bytes")
    if limit is None or used is None or limit >= total:
        return Memory(free, total)
    return Memory(max(0, min(free, limit - used + _reclaimable(cgroup))), limit)


def graphics_memory(device_index: int) -> Memory:
    """Memory of a GPU; what torch holds in this process without using it counts as free."""
    import torch

    free, total = torch.cuda.mem_get_info(device_index)
    unused = torch.cuda.memory_reserved(device_index) - torch.cuda.memory_allocated(device_index)
    return Memory(free + unused, total)


def _number(*paths: Path) -> int | None:
    """The number in the first file that exists; None for none, and for "max"."""
    for path in paths:
        if path.is_file():
            text = path.read_text().strip()
            return int(text) if text.isdecimal() else None
    return None


def _reclaimable(cgroup: Path) -> int:
    """File pages of the group, which the kernel drops when memory is short."""
    for path in (cgroup / "memory.stat", cgroup / "memory/memory.stat"):
        if path.is_file():
            pairs = dict(line.split() for line in path.read_text().splitlines())
            return int(pairs.get("inactive_file", pairs.get("total_inactive_file", 0)))
    return 0
