"""Ten thousand damaged files: each is read or refused, quickly and in bounded memory."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = 10_000
MEMORY_BYTES = 1024 * 2**20
"""Address space over what the interpreter and its libraries have taken at the start."""


def test_damaged_files_crash_nothing_and_fill_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.preprocessing.fuzz_codec", str(FILES), str(MEMORY_BYTES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    read, refused = (int(word) for word in done.stdout.split()[-2:])
    assert read + refused == FILES
    assert min(read, refused) > FILES // 20
