import shutil
from pathlib import Path

import pytest

from export_scripts.checkpoint import COMPONENTS, find_checkpoint
from export_scripts.export_errors import ExportError
from tests.hub_snapshots import COMMIT, keep_as_snapshot


def test_a_folder_is_taken_as_it_is(generation: Path) -> None:
    checkpoint = find_checkpoint(str(generation))
    assert checkpoint.pipeline == "QwenImagePipeline"
    assert checkpoint.revision is None


def test_every_file_of_a_component_has_a_digest(generation: Path) -> None:
    checkpoint = find_checkpoint(str(generation))
    for part in COMPONENTS:
        digests = checkpoint.digests(part)
        assert "config.json" in digests
        assert any(name.endswith(".safetensors") for name in digests)
        assert all(len(digest) == 64 for digest in digests.values())
        assert checkpoint.size_bytes(part) > 10_000


def test_a_snapshot_of_the_hub_is_found_with_its_commit(
    generation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(generation, tmp_path / "copy"))
    keep_as_snapshot(copy, tmp_path, "Qwen/Qwen-Image")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    checkpoint = find_checkpoint("Qwen/Qwen-Image")
    assert checkpoint.revision == COMMIT
    assert checkpoint.pipeline == "QwenImagePipeline"


def test_a_hub_that_cannot_be_reached_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ExportError, match="Qwen/Absent cannot be fetched"):
        find_checkpoint("Qwen/Absent")


def test_what_is_no_source_is_said() -> None:
    with pytest.raises(ExportError, match="neither a folder nor a hub id"):
        find_checkpoint("no such thing")


def test_a_missing_part_is_named(generation: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(generation, broken)
    shutil.rmtree(broken / "vae")
    with pytest.raises(ExportError, match=r"lacks vae/config\.json"):
        find_checkpoint(str(broken))
