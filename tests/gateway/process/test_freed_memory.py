"""What freed memory costs the next one who wants it: pages that the system hands out anew."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")

_NEW_PAGES = """
import resource, sys
import numpy as np
from gateway.process.freed_memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [np.ones(int(sys.argv[2]) * 2**20, np.uint8) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    keep_freed_memory()
faults()
print(faults())
"""


def new_pages(how: str, mebibytes: int, **environment: str) -> int:
    """Pages that four arrays of a size need, twenty times, when they were there before."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _NEW_PAGES, how, str(mebibytes)],
        env={**usual, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


def test_memory_of_pictures_is_kept_for_the_next_ones() -> None:
    assert new_pages("kept", 3) < 100 < 10_000 < new_pages("given back", 3)


def test_that_of_the_largest_is_given_back() -> None:
    assert new_pages("kept", 20) > 10_000


def test_what_the_environment_says_holds() -> None:
    assert new_pages("kept", 3, MALLOC_TRIM_THRESHOLD_="1000000") > 10_000
