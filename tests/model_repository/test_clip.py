"""CLIP's halves as `retouch-export clip` writes them, served in process, against transformers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPModel

from export_scripts.clip_export import export_clip
from export_scripts.export_errors import ExportError
from export_scripts.repository_readme import read_config
from export_scripts.repository_skeleton import create_repository
from tests.model_repository.in_process import answer, load, request
from tests.tiny_clip import save_tiny_clip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return folder


@pytest.fixture(scope="module")
def repository(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "repository"
    create_repository(folder)
    assert max(export_clip(str(checkpoint), folder).values()) < 1e-5
    return folder


def served(repository: Path, name: str) -> Any:
    path = repository / name / "1" / "model.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return load(module.TritonPythonModel(), repository / name)


@pytest.mark.parametrize("name", ["clip_text", "clip_image"])
def test_the_config_is_triton_s(repository: Path, name: str) -> None:
    config = read_config(repository / name / "config.pbtxt")
    assert config.name == name
    assert list(config.output[0].dims) == [8]


def test_texts_are_those_of_transformers(repository: Path, checkpoint: Path) -> None:
    texts = ["the red cup", "a photo", "unheard of " * 40]
    batch = [request(TEXT=np.array([[text.encode()]], object)) for text in texts]
    found = np.concatenate(
        [answer(r, "EMBEDDING") for r in served(repository, "clip_text").execute(batch)]
    )
    tokens = AutoTokenizer.from_pretrained(checkpoint)(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    clip = CLIPModel.from_pretrained(checkpoint).eval()
    with torch.inference_mode():
        pooled = clip.text_model(input_ids=tokens["input_ids"]).pooler_output
        expected = torch.nn.functional.normalize(clip.text_projection(pooled), dim=-1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_pictures_are_unit_vectors(repository: Path) -> None:
    model = served(repository, "clip_image")
    rng = np.random.default_rng(0)
    batch = [request(IMAGES=rng.integers(0, 256, (n, 32, 32, 3), np.uint8)) for n in (1, 3)]
    parts = [answer(response, "EMBEDDING") for response in model.execute(batch)]
    assert [part.shape for part in parts] == [(1, 8), (3, 8)]
    for part in parts:
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)


def test_another_checkpoint_is_refused(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is no CLIP checkpoint"):
        export_clip(str(tmp_path), repository)


def test_another_export_is_another_version(repository: Path, checkpoint: Path) -> None:
    export_clip(str(checkpoint), repository)
    for name in ("clip_text", "clip_image"):
        assert [path.name for path in (repository / name).glob("[0-9]*")] == ["2"]
