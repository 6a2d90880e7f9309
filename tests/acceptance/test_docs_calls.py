"""The calls in the pages of the surfaces, as they stand there, against a served instance."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.served import Served

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


CALLS = [
    *(("openai.md", "python", n) for n in range(1)),
    *(("openai.md", "sh", n) for n in range(1)),
    *(("front-end.md", "sh", n) for n in range(1)),
    *(("python-client.md", "python", n) for n in range(2)),
    *(("python-client.md", "sh", n) for n in range(1)),
    *(("observability.md", "sh", n) for n in range(1)),
]


@pytest.mark.parametrize(("page", "language", "number"), CALLS)
def test_a_call_does_what_it_says(
    gateway: Served, tmp_path: Path, page: str, language: str, number: int
) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    script = blocks(page, language)[number].replace("http://127.0.0.1:8080", gateway.url)
    command = ["bash", "-euc"] if language == "sh" else [sys.executable, "-W", "ignore", "-c"]
    done = subprocess.run(
        [*command, script],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RETOUCH_URL": gateway.url,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for picture in tmp_path.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG"), picture.name
    assert '"error": {' not in done.stdout


def test_no_call_is_left_out() -> None:
    for page in sorted({page for page, _, _ in CALLS}):
        for language in ("python", "sh"):
            known = sum(call[:2] == (page, language) for call in CALLS)
            assert len(blocks(page, language)) == known, (page, language)
