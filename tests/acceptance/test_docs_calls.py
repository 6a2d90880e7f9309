"""The calls in the pages of the surfaces, as they stand there, against a served instance."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    *(("http-api.md", "sh", n) for n in range(3)),
    *(("security.md", "sh", n) for n in range(1)),
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
            "RETOUCH_DATA_DIR": str(tmp_path / "retouch-data"),
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


def test_the_bodies_of_the_http_api_page_do_what_it_says(gateway: Served) -> None:
    masks, composed, removal, adapted = blocks("http-api.md", "json")
    picture = gateway.upload((ROOT / "docs" / "pictures" / "scene.png").read_bytes())

    def post(path: str, body: str) -> Any:
        return gateway.http.post(path, json=json.loads(body.replace("file_...", picture))).json()

    found = post("/v1/masks", masks)["masks"]
    assert len({mask["mask_id"] for mask in found}) == 3, "three prompts, three objects"
    runs = post("/v1/masks", json.dumps({"image": "file_...", "everything": True, "output": "rle"}))
    for placeholder, mask in zip(("file_a...", "file_b..."), found, strict=False):
        composed = composed.replace(placeholder, mask["mask_id"])
    composed = composed.replace('"..."', json.dumps(runs["masks"][-1]["rle"]["counts"]))
    assert post("/v1/masks/compose", composed)["area"] > 0
    assert gateway.finish(post("/v1/jobs", removal))["status"] == "succeeded"
    assert post("/v1/jobs", adapted)["code"] == "unsupported_value", "demo models have no adapters"
