"""The README's commands, as they stand there, against a served instance."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.acceptance.served import Served

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the checkout; what the commands write lands here."""
    place = tmp_path_factory.mktemp("readme")
    (place / "docs").symlink_to(ROOT / "docs")
    return place


def run(gateway: Served, folder: Path, block: str) -> str:
    script = block.replace("http://127.0.0.1:8080", gateway.url)
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def picture(path: Path) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def test_there_are_the_four_calls() -> None:
    assert len(BLOCKS) == 4


def test_a_click_gives_a_mask(gateway: Served, folder: Path) -> None:
    run(gateway, folder, BLOCKS[0])
    mask = np.asarray(picture(folder / "mask.png"))
    assert mask.shape == (512, 512)
    assert mask[426, 365] == 255
    assert 0.05 < (mask > 0).mean() < 0.2


def test_the_mask_guides_an_edit(gateway: Served, folder: Path) -> None:
    run(gateway, folder, BLOCKS[1])
    mask = np.asarray(picture(folder / "mask.png")) > 127
    edited = np.asarray(picture(folder / "edited.png"))
    scene = np.asarray(picture(ROOT / "docs" / "pictures" / "scene.png").convert("RGB"))
    assert np.array_equal(edited[~mask], scene[~mask])
    assert not np.array_equal(edited[mask], scene[mask])


def test_words_give_a_picture(gateway: Served, folder: Path) -> None:
    run(gateway, folder, BLOCKS[2])
    assert picture(folder / "generated.png").size == (256, 256)


def test_a_job_can_be_followed(gateway: Served, folder: Path) -> None:
    events = run(gateway, folder, BLOCKS[3])
    assert [line for line in events.splitlines() if line.startswith("event:")][
        -1
    ] == "event: succeeded"
    last = [line for line in events.splitlines() if '"total_steps": 12' in line][-1]
    assert '"step": 12' in last, "steps may be merged, but the last is told"
    assert picture(folder / "lighthouse.png").size == (256, 256)
