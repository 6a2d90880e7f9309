"""A checkpoint becomes models of the repository, whole or not at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export_scripts.demo_qwen import save_generation_checkpoint
from export_scripts.qwen_repository import EDIT, GENERATION, install_checkpoint

STAGES = {
    "qwen_image_transformer": "transformer",
    "qwen_text_encoder": "text_encoder",
    "qwen_vae_encoder": "vae",
    "qwen_vae_decoder": "vae",
}
GRAPHS = ("qwen_vae_encoder/1/model.onnx", "qwen_vae_decoder/1/model.onnx")


@pytest.fixture
def repository(installed: Path, tmp_path: Path) -> Path:
    """A copy of the installed repository."""
    return Path(shutil.copytree(installed, tmp_path / "repository"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A checkpoint with other weights."""
    save_generation_checkpoint(tmp_path / "newer", seed=7)
    return tmp_path / "newer"


def contents(folder: Path) -> dict[str, bytes]:
    """Every served file; what a broken run left beside them does not count."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: data for name, data in files.items() if ".partial" not in name}


def manifest(repository: Path, model: str = "qwen_image") -> dict[str, Any]:
    return json.loads((repository / model / "1/pipeline/retouch.json").read_text())


@pytest.mark.parametrize(("stage", "component"), STAGES.items())
def test_a_stage_gets_its_weights(
    installed: Path, generation: Path, stage: str, component: str
) -> None:
    assert contents(installed / stage / "1" / "weights") == contents(generation / component)


def test_the_pipeline_gets_configs_without_weights(installed: Path) -> None:
    files = {
        "model_index.json",
        "retouch.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "transformer/config.json",
        "vae/config.json",
    }
    assert contents(installed / "qwen_image/1/pipeline").keys() == files


def test_the_manifest_describes_the_model(installed: Path) -> None:
    described = manifest(installed)
    projection = described.pop("latent_rgb")
    assert described == {
        "model": "qwen_image",
        "pipeline": "QwenImagePipeline",
        "inpaint_pipeline": "QwenImageInpaintPipeline",
        "stages": GENERATION.stages,
        "dimensions": {"latents": 64, "text": 32, "z": 16},
        "source": "a test",
        "demo": True,
    }
    assert [len(row) for row in projection] == [3] * 17


def test_nothing_is_left_beside(installed: Path) -> None:
    assert not [p for p in installed.rglob("*") if p.suffix in (".partial", ".old")]


def test_an_edit_model_brings_its_processor(edit: Path, tmp_path: Path) -> None:
    install_checkpoint(edit, tmp_path, EDIT, {})
    assert (tmp_path / "qwen_image_edit/1/pipeline/processor/processor_config.json").is_file()
    assert manifest(tmp_path, "qwen_image_edit")["inpaint_pipeline"] is None
    assert (tmp_path / "qwen_image_edit_transformer/1/weights/config.json").is_file()


def test_graphs_are_written(installed: Path) -> None:
    assert all((installed / graph).is_file() for graph in GRAPHS)


def test_installing_again_replaces(repository: Path, newer: Path) -> None:
    stale = repository / "qwen_vae_encoder/1/weights/stale.bin"
    stale.touch()
    install_checkpoint(newer, repository, GENERATION, {"source": "newer"})
    for stage, component in STAGES.items():
        assert contents(repository / stage / "1/weights") == contents(newer / component)
    assert manifest(repository)["source"] == "newer"
    assert not any((repository / graph).exists() for graph in GRAPHS), "graphs of the old weights"


def lose_the_vae(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "vae")


def cut_off_the_vae(checkpoint: Path) -> None:
    (file,) = (checkpoint / "vae").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:1000])


def lose_the_index(checkpoint: Path) -> None:
    (checkpoint / "model_index.json").unlink()


@pytest.mark.parametrize(
    ("damage", "vae_graphs"),
    [(lose_the_vae, False), (cut_off_the_vae, True), (lose_the_index, False)],
)
def test_a_broken_run_leaves_the_old_version_whole(
    repository: Path, newer: Path, damage: Any, vae_graphs: bool
) -> None:
    before = contents(repository)
    damage(newer)
    with pytest.raises(Exception):  # noqa: B017, PT011
        install_checkpoint(newer, repository, GENERATION, {}, vae_graphs=vae_graphs)
    assert contents(repository) == before


def test_a_broken_run_does_not_spoil_the_next(
    repository: Path, newer: Path, generation: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(newer, tmp_path / "broken"))
    lose_the_vae(broken)
    with pytest.raises(FileNotFoundError):
        install_checkpoint(broken, repository, GENERATION, {})
    install_checkpoint(newer, repository, GENERATION, {})
    assert contents(repository / "qwen_vae_decoder/1/weights") == contents(newer / "vae")
    assert not [p for p in repository.rglob("*") if p.suffix in (".partial", ".old")]
