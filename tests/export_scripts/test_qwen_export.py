import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from export_scripts.checkpoint import Checkpoint, find_checkpoint, sha256
from export_scripts.cli import app
from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
from export_scripts.export_errors import ExportError
from export_scripts.qwen_export import export_qwen
from export_scripts.qwen_repository import EDIT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    stages = "text_encoder vae_encoder vae_decoder image_transformer image_edit_transformer"
    for name in ("qwen_image", "qwen_image_edit", *(f"qwen_{stage}" for stage in stages.split())):
        (tmp_path / name / "1").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def checkpoint(generation: Path) -> Checkpoint:
    return find_checkpoint(str(generation))


def lora(folder: Path, key: str = "transformer.to_q.lora_A.weight") -> Path:
    path = folder / "lora.safetensors"
    save_file({key: np.zeros((4, 8), np.float32)}, path)
    return path


def manifest(repository: Path, model: str = "qwen_image") -> dict[str, object]:
    text = (repository / model / "1" / "pipeline" / "retouch.json").read_text()
    return dict(json.loads(text))


def test_the_manifest_says_what_was_exported(checkpoint: Checkpoint, repository: Path) -> None:
    export_qwen(checkpoint, repository, preset="lightning-8", default_side=512)
    written = manifest(repository)
    assert written["source"] == checkpoint.source
    assert written["demo"] is False
    assert written["default_size"] == [512, 512]
    assert written["default_num_inference_steps"] == 8
    files = written["files"]
    assert isinstance(files, dict)
    weights = repository / "qwen_image_transformer" / "1" / "weights"
    for name, digest in files["transformer"].items():
        assert sha256(weights / name) == digest


def test_adapters_lie_beside_the_weights(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path
) -> None:
    file = lora(tmp_path)
    export_qwen(checkpoint, repository, adapters={"removal": file})
    copied = repository / "qwen_image_transformer/1/weights/adapters/removal"
    assert sha256(copied / "pytorch_lora_weights.safetensors") == sha256(file)
    assert manifest(repository)["adapters"] == ["removal"]


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [("Remo val", "lora_A", "must be 1 to 64"), ("removal", "weight", "holds no LoRA tensors")],
)
def test_a_bad_adapter_is_refused_before_anything_is_written(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path, name: str, key: str, says: str
) -> None:
    with pytest.raises(ExportError, match=says):
        export_qwen(checkpoint, repository, adapters={name: lora(tmp_path, key)})
    assert not (repository / "qwen_image/1/pipeline").exists()


def test_an_unreadable_adapter_is_refused(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"not a LoRA")
    with pytest.raises(ExportError, match="cannot be read"):
        export_qwen(checkpoint, repository, adapters={"removal": file})


def test_a_checkpoint_is_served_as_its_own_model(checkpoint: Checkpoint, repository: Path) -> None:
    with pytest.raises(ExportError, match="served as qwen_image, not qwen_image_edit"):
        export_qwen(checkpoint, repository, model=EDIT)


def test_an_unknown_pipeline_is_refused(generation: Path, repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(generation, other)
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps({**index, "_class_name": "FluxPipeline"}))
    with pytest.raises(ExportError, match="a FluxPipeline; known are QwenImagePipeline"):
        export_qwen(find_checkpoint(str(other)), repository)


def test_too_little_disk_is_said_with_the_numbers(
    checkpoint: Checkpoint, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))  # type: ignore[attr-defined]
    with pytest.raises(ExportError, match=r"needs .* GiB .*; 0\.0 GiB are free"):
        export_qwen(checkpoint, repository)


def test_a_shared_stage_does_not_change_under_the_other_model(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path
) -> None:
    export_qwen(checkpoint, repository)
    same, other = tmp_path / "same", tmp_path / "other"
    save_edit_checkpoint(same)
    save_edit_checkpoint(other, seed=9)
    export_qwen(find_checkpoint(str(same)), repository)
    with pytest.raises(ExportError, match="another text_encoder"):
        export_qwen(find_checkpoint(str(other)), repository)
    assert manifest(repository, "qwen_image_edit")["source"] == str(same)


def test_the_command_tells_what_is_wrong(repository: Path) -> None:
    arguments = ["qwen", "--source", "/nowhere", "--repository", str(repository)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "neither a folder nor a hub id" in done.stderr


def test_the_command_exports(tmp_path: Path, repository: Path) -> None:
    save_generation_checkpoint(tmp_path / "checkpoint", seed=3)
    source, adapter = str(tmp_path / "checkpoint"), f"removal={lora(tmp_path)}"
    arguments = ["--source", source, "--repository", str(repository), "--adapter", adapter]
    done = CliRunner().invoke(app, ["qwen", *arguments, "--size", "256"])
    assert done.exit_code == 0, done.output
    assert manifest(repository)["default_size"] == [256, 256]
