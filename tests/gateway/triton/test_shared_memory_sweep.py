"""Shared memory of dead Triton servers is removed, that of living ones is not."""

import mmap
from pathlib import Path

from gateway.triton.shared_memory_sweep import REGION_PREFIX, sweep_stale_regions


def test_only_regions_that_nobody_maps_are_swept(tmp_path: Path) -> None:
    stale, used, other = (
        tmp_path / name for name in (f"{REGION_PREFIX}a", f"{REGION_PREFIX}b", "other")
    )
    for path in (stale, used, other):
        path.write_bytes(bytes(4096))
    with used.open("r+b") as file, mmap.mmap(file.fileno(), 4096):
        assert sweep_stale_regions(tmp_path) == [stale.name]
    assert sorted(tmp_path.iterdir()) == sorted([used, other])
    assert sweep_stale_regions(tmp_path / "missing") == []
