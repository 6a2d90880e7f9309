"""What reading a form leaves for the first request to do."""

from __future__ import annotations

import subprocess
import sys

_IMPORTED = """
import sys
import gateway.app
print("anyio._backends._asyncio" in sys.modules)
"""


def test_nothing_is_imported_by_the_first_large_upload() -> None:
    command = [sys.executable, "-c", _IMPORTED]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"
