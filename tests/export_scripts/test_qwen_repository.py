import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export_scripts.demo_qwen import save_generation_checkpoint
from export_scripts.promotion import prune, serve_offline
from export_scripts.qwen_models import EDIT, GENERATION, STAGES, StageOptions
from export_scripts.qwen_repository import install_checkpoint
from export_scripts.version_store import VersionStore

COMPONENTS = {
    "qwen_image_transformer": "transformer",
    "qwen_text_encoder": "text_encoder",
    "qwen_vae_encoder": "vae",
    "qwen_vae_decoder": "vae",
}


@pytest.fixture
def served(installed: Path, tmp_path: Path) -> Path:
    """A copy of the installed repository."""
    return Path(shutil.copytree(installed, tmp_path / "served"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A checkpoint with other weights."""
    save_generation_checkpoint(tmp_path / "newer", seed=7)
    return tmp_path / "newer"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that is served or waits; what a broken run left beside them does not count."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: data for name, data in files.items() if "/draft/" not in name}


@pytest.mark.parametrize(("stage", "component"), COMPONENTS.items())
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
    described = VersionStore(installed).manifest("qwen_image", 1)
    projection = described.pop("latent_rgb")
    assert described.pop("files").keys() == {"transformer", "text_encoder", "vae"}
    torch_, onnx = (
        {"engine": engine, "precision": "auto", "compile": False} for engine in ("torch", "onnx")
    )
    assert described == {
        "model": "qwen_image",
        "pipeline": "QwenImagePipeline",
        "inpaint_pipeline": "QwenImageInpaintPipeline",
        "stages": {p: {"model": m, "version": 1} for p, m in GENERATION.stages.items()},
        "settings": {
            "transformer": torch_,
            "text_encoder": torch_,
            "vae_encoder": onnx,
            "vae_decoder": onnx,
        },
        "dimensions": {"latents": 64, "text": 32, "z": 16, "picture": 3, "slot_side": 1},
        "latent_px": 8,
        "packs_latents": True,
        "size_multiple": 16,
        "source": "a test",
        "demo": True,
    }
    assert [len(row) for row in projection] == [3] * 17


def test_every_version_has_an_entry_point_and_keeps_byte_code_out(installed: Path) -> None:
    for model in ("qwen_image", *COMPONENTS):
        version = installed / model / "1"
        assert (version / "model.py").read_text() == (installed / model / "model.py").read_text()
        assert (version / "__pycache__").is_file()


def test_an_edit_model_brings_its_processor(edit: Path, repository: Path) -> None:
    version = install_checkpoint(edit, repository, EDIT, {})
    folder = VersionStore(repository).folder("qwen_image_edit", version)
    assert (folder / "pipeline/processor/processor_config.json").is_file()
    manifest = json.loads((folder / "pipeline/retouch.json").read_text())
    assert manifest["inpaint_pipeline"] is None


def test_graphs_are_written_where_they_are_asked_for(installed: Path) -> None:
    assert {path.parent.parent.name for path in installed.glob("qwen_*/1/model.onnx")} == {
        "qwen_vae_encoder",
        "qwen_vae_decoder",
    }


def test_a_new_version_waits_beside_the_old_one(served: Path, newer: Path) -> None:
    before = {model: contents(served / model) for model in ("qwen_image", *STAGES)}
    version = install_checkpoint(newer, served, GENERATION, {"source": "newer"})
    assert version == 2
    assert {model: contents(served / model) for model in ("qwen_image", *STAGES)} == before
    store = VersionStore(served)
    assert store.stages("qwen_image", 2) == [(stage, 2) for stage in GENERATION.stages.values()]
    for stage, component in COMPONENTS.items():
        assert contents(store.folder(stage, 2) / "weights") == contents(newer / component)


def test_other_settings_are_another_version_of_the_stage(served: Path, generation: Path) -> None:
    options = StageOptions(precision="bf16", onnx=frozenset({"vae_encoder", "vae_decoder"}))
    install_checkpoint(generation, served, GENERATION, {}, options=options)
    store = VersionStore(served)
    settings = json.loads((store.folder("qwen_image_transformer", 2) / "stage.json").read_text())
    assert settings["precision"] == "bf16"
    assert settings["files"] == store.manifest("qwen_image", 1)["files"]["transformer"]


def lose_the_vae(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "vae")


def cut_off_the_vae(checkpoint: Path) -> None:
    (file,) = (checkpoint / "vae").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:1000])


def lose_the_index(checkpoint: Path) -> None:
    (checkpoint / "model_index.json").unlink()


@pytest.mark.parametrize("damage", [lose_the_vae, cut_off_the_vae, lose_the_index])
def test_a_broken_run_leaves_no_version_of_the_pipeline(
    served: Path, newer: Path, damage: Any
) -> None:
    before = {model: contents(served / model) for model in ("qwen_image", *STAGES)}
    damage(newer)
    options = StageOptions(onnx=frozenset({"vae_encoder", "vae_decoder"}))
    with pytest.raises(Exception):  # noqa: B017, PT011
        install_checkpoint(newer, served, GENERATION, {}, options=options)
    assert {model: contents(served / model) for model in ("qwen_image", *STAGES)} == before
    assert VersionStore(served).newest("qwen_image") == 1


def test_the_next_run_takes_up_what_a_broken_one_did(
    served: Path, newer: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(newer, tmp_path / "broken"))
    lose_the_index(broken)
    with pytest.raises(FileNotFoundError):
        install_checkpoint(broken, served, GENERATION, {})
    install_checkpoint(newer, served, GENERATION, {})
    store = VersionStore(served)
    assert all(store.newest(stage) == 2 for stage in COMPONENTS)
    assert store.stages("qwen_image", 2) == [(stage, 2) for stage in GENERATION.stages.values()]


def test_serving_another_version_retires_what_nobody_calls(served: Path, newer: Path) -> None:
    serve_offline(served, "qwen_image", install_checkpoint(newer, served, GENERATION, {}))
    store = VersionStore(served)
    assert [store.served(model) for model in ("qwen_image", *COMPONENTS)] == [[2]] * 5
    assert [store.stored(model) for model in ("qwen_image", *COMPONENTS)] == [[1]] * 5
    assert [entry["version"] for entry in store.history("qwen_image")] == [1, 2]


def test_a_stage_that_the_other_model_calls_stays(served: Path, edit: Path, newer: Path) -> None:
    serve_offline(served, "qwen_image_edit", install_checkpoint(edit, served, EDIT, {}))
    serve_offline(served, "qwen_image", install_checkpoint(newer, served, GENERATION, {}))
    store = VersionStore(served)
    assert store.served("qwen_text_encoder") == [1, 2]
    assert store.served("qwen_image_transformer") == [2]


def test_pruning_keeps_the_newest_with_its_stages(
    served: Path, newer: Path, generation: Path
) -> None:
    install_checkpoint(generation, served, GENERATION, {"source": "same stages but the VAE's"})
    install_checkpoint(newer, served, GENERATION, {})
    store = VersionStore(served)
    prune(served, keep=1)
    assert store.stored("qwen_image") == [3]
    assert store.stages("qwen_image", 3) == [
        (stage, store.newest(stage)) for stage in GENERATION.stages.values()
    ]
    prune(served, keep=0)
    assert [store.stored(model) for model in ("qwen_image", *COMPONENTS)] == [[]] * 5
    assert store.served("qwen_image") == [1]
