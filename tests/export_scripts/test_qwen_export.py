import json
import math
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
from export_scripts.qwen_models import EDIT, StageOptions
from export_scripts.version_store import VersionStore


@pytest.fixture
def checkpoint(generation: Path) -> Checkpoint:
    return find_checkpoint(str(generation))


def lora(folder: Path, key: str = "transformer.to_q.lora_A.weight") -> Path:
    path = folder / "lora.safetensors"
    save_file({key: np.zeros((4, 8), np.float32)}, path)
    return path


def test_the_manifest_says_what_was_exported(checkpoint: Checkpoint, repository: Path) -> None:
    options = StageOptions(warm_up=((64, 96),))
    exported = export_qwen(
        checkpoint, repository, preset="lightning-8", default_side=512, options=options
    )
    assert exported == ("qwen_image", 1)
    store = VersionStore(repository)
    written = store.manifest(*exported)
    assert written["source"] == checkpoint.source
    assert written["demo"] is False
    assert written["default_size"] == [512, 512]
    assert written["default_num_inference_steps"] == 8
    weights = store.folder("qwen_image_transformer", 1) / "weights"
    for name, digest in written["files"]["transformer"].items():
        assert sha256(weights / name) == digest
    settings = json.loads((weights.parent / "stage.json").read_text())
    assert settings["warm_up"] == [{"width": 64, "height": 96, "conditions": 0}]


def test_an_export_is_not_served(checkpoint: Checkpoint, repository: Path) -> None:
    export_qwen(checkpoint, repository)
    assert not list(repository.glob("qwen_*/[0-9]*"))


def test_a_distilled_preset_sets_sigmas_and_scheduler(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path
) -> None:
    exported = export_qwen(checkpoint, repository, preset="lightning-4", distilled=lora(tmp_path))
    store = VersionStore(repository)
    written = store.manifest(*exported)
    assert written["sigmas"] == [1.0, 0.75, 0.5, 0.25]
    assert written["default_true_cfg_scale"] == 1.0
    assert written["default_adapters"] == {"distilled": 1.0}
    scheduler = store.folder(*exported) / "pipeline/scheduler/scheduler_config.json"
    configured = json.loads(scheduler.read_text())
    assert configured["base_shift"] == configured["max_shift"] == pytest.approx(math.log(3))
    assert configured["shift_terminal"] is None
    assert configured["num_train_timesteps"] == 1000


def test_adapters_lie_beside_the_weights(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path
) -> None:
    file = lora(tmp_path)
    exported = export_qwen(checkpoint, repository, adapters={"removal": file})
    store = VersionStore(repository)
    copied = store.folder("qwen_image_transformer", 1) / "weights/adapters/removal"
    assert sha256(copied / "pytorch_lora_weights.safetensors") == sha256(file)
    assert store.manifest(*exported)["adapters"] == ["removal"]


def test_stages_that_did_not_change_are_shared(
    checkpoint: Checkpoint, repository: Path, edit: Path, tmp_path: Path
) -> None:
    export_qwen(checkpoint, repository)
    export_qwen(checkpoint, repository, adapters={"removal": lora(tmp_path)})
    export_qwen(find_checkpoint(str(edit)), repository)
    store = VersionStore(repository)
    first, second = (dict(store.stages("qwen_image", version)) for version in (1, 2))
    edits = dict(store.stages("qwen_image_edit", 1))
    assert second == {**first, "qwen_image_transformer": 2}
    del first["qwen_image_transformer"], edits["qwen_image_edit_transformer"]
    assert edits == first
    assert store.stored("qwen_text_encoder") == [1]


def test_other_shared_stages_get_versions_of_their_own(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path
) -> None:
    export_qwen(checkpoint, repository)
    save_edit_checkpoint(tmp_path / "other", seed=9)
    export_qwen(find_checkpoint(str(tmp_path / "other")), repository)
    stages = dict(VersionStore(repository).stages("qwen_image_edit", 1))
    assert stages["qwen_text_encoder"] == stages["qwen_vae_encoder"] == 2
    assert stages["qwen_image_edit_transformer"] == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (StageOptions(onnx=frozenset({"transformer"})), "takes no adapters"),
        (StageOptions(onnx=frozenset({"text_encoder"}), precision="int8"), "compute in fp32"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path, options: StageOptions, says: str
) -> None:
    with pytest.raises(ExportError, match=says):
        export_qwen(checkpoint, repository, adapters={"removal": lora(tmp_path)}, options=options)


def test_a_folder_that_is_no_repository_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is no model repository"):
        export_qwen(checkpoint, tmp_path)


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [("Remo val", "lora_A", "must be 1 to 64"), ("removal", "weight", "holds no LoRA tensors")],
)
def test_a_bad_adapter_is_refused_before_anything_is_written(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path, name: str, key: str, says: str
) -> None:
    with pytest.raises(ExportError, match=says):
        export_qwen(checkpoint, repository, adapters={name: lora(tmp_path, key)})
    assert not (repository / ".versions").exists()


def test_an_unreadable_adapter_is_refused(
    checkpoint: Checkpoint, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"not a LoRA")
    with pytest.raises(ExportError, match="cannot be read"):
        export_qwen(checkpoint, repository, adapters={"removal": file})


def test_a_checkpoint_is_served_as_its_own_model(checkpoint: Checkpoint, repository: Path) -> None:
    with pytest.raises(ExportError, match="served as qwen_image, not qwen_image_edit"):
        export_qwen(checkpoint, repository, model=EDIT.name)


def test_the_single_stream_line_becomes_either_model_on_one_network(
    single_stream: Path, repository: Path
) -> None:
    checkpoint = find_checkpoint(str(single_stream))
    store = VersionStore(repository)
    for name in ("qwen_image", "qwen_image_edit"):
        assert export_qwen(checkpoint, repository, model=name) == (name, 1)
    assert store.stages("qwen_image", 1) == store.stages("qwen_image_edit", 1)
    manifest = store.manifest("qwen_image", 1)
    assert (manifest["size_multiple"], manifest["latent_px"]) == (32, 16)
    assert manifest["sigmas"] == [1.0, 0.6, 0.2], "the author's own steps"
    assert manifest["default_num_inference_steps"] == 3
    with pytest.raises(ExportError, match="no ONNX graphs of a QwenImage21Pipeline"):
        export_qwen(checkpoint, repository, options=StageOptions(onnx=frozenset({"vae_decoder"})))


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
    assert VersionStore(repository).manifest("qwen_image", 1)["default_size"] == [256, 256]
    assert "retouch-export promote --model qwen_image" in done.output
