"""Hostile files: each gets its answer, soon, within its memory, and harms nobody after it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.conftest import Gateway, serve
from tests.gateway.problems import assert_problem
from tests.hostile_pictures import HOSTILE_PICTURES, HostilePicture
from tests.odd_pictures import heic, photo

MAX_GROWTH_MIB = 200


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One for all."""
    async with serve(tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.mark.timeout(30)
@pytest.mark.parametrize("case", HOSTILE_PICTURES, ids=lambda case: case.name)
async def test_a_hostile_picture_gets_its_answer(gateway: Gateway, case: HostilePicture) -> None:
    response = await gateway.client.post("/v1/files", files={"file": case.make()})
    assert response.status_code == case.status, response.text
    if case.code:
        assert assert_problem(response)["code"] == case.code
        return
    warnings = response.json()["warnings"]
    assert [case.warns in warning for warning in warnings] == ([True] if case.warns else [])


async def test_the_next_picture_is_served(gateway: Gateway) -> None:
    for data in (photo(), heic()):
        response = await gateway.client.post("/v1/files", files={"file": data})
        assert (response.json()["width"], response.json()["height"]) == (200, 160)
    assert (await gateway.client.get("/health/ready")).status_code == 200


_MEASURE = """
import sys
from pathlib import Path
from preprocessing.codec import decode_image
from preprocessing.errors import RejectedError
from tests.hostile_pictures import HOSTILE_PICTURES

def read(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) // 1024

for case in HOSTILE_PICTURES:
    data = case.make()
    Path("/proc/self/clear_refs").write_text("5")
    before = read("VmRSS")
    try:
        decode_image(data)
    except RejectedError:
        pass
    print(read("VmHWM") - before, case.name)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_stays_bounded() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True, timeout=100
    )
    lines = [line.split(" ", 1) for line in run.stdout.splitlines()]
    assert len(lines) == len(HOSTILE_PICTURES)
    assert {name: int(mib) for mib, name in lines if int(mib) > MAX_GROWTH_MIB} == {}
