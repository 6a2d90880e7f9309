"""`retouch-export` on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from export_scripts.cli import app
from export_scripts.demo import SEGMENTER, install_demo_segmenter, is_installed

SOMEBODYS = json.dumps(
    {"PROTOTYPES_FINE": 0, "stages": {"transformer": {"model": "somebody_s", "version": 1}}}
)
DEMO_FILES = (
    "fastsam/1/model.onnx",
    "qwen_image/1/pipeline/retouch.json",
    "qwen_image_edit/1/pipeline/retouch.json",
)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A repository that somebody filled."""
    for name in DEMO_FILES:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(SOMEBODYS)
    return tmp_path


def test_help_lists_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(command in result.output for command in ("demo", "readme"))


def test_demo_if_absent_leaves_a_filled_repository_alone(filled: Path) -> None:
    before = sorted(filled.rglob("*"))
    arguments = ["demo", "--if-absent", "--repository", str(filled)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert f"models are in {filled}" in result.output
    assert sorted(filled.rglob("*")) == before
    assert {(filled / name).read_text() for name in DEMO_FILES} == {SOMEBODYS}


def test_a_segmenter_from_before_its_config_is_replaced(filled: Path) -> None:
    assert is_installed(filled)
    (filled / "fastsam/1/model.onnx").write_bytes(b"a graph of an older release")
    assert not is_installed(filled)


@pytest.mark.parametrize("missing", DEMO_FILES)
def test_a_repository_without_one_model_is_not_filled(filled: Path, missing: str) -> None:
    assert is_installed(filled)
    (filled / missing).unlink()
    assert not is_installed(filled)


def test_the_segmenter_is_copied(filled: Path) -> None:
    install_demo_segmenter(filled)
    assert (filled / "fastsam/1/model.onnx").read_bytes() == SEGMENTER.read_bytes()
    assert [path.name for path in (filled / "fastsam/1").iterdir()] == ["model.onnx"]
