"""Tiny checkpoints, and a repository they are installed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
from export_scripts.demo_single_stream import save_single_stream_checkpoint
from export_scripts.promotion import serve_offline
from export_scripts.qwen_models import GENERATION, StageOptions
from export_scripts.qwen_repository import install_checkpoint
from export_scripts.repository_skeleton import create_repository


@pytest.fixture(scope="session")
def generation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen-image")
    save_generation_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def edit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen-image-edit")
    save_edit_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def single_stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single-stream")
    save_single_stream_checkpoint(folder, sigmas=[1.0, 0.6, 0.2])
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty model repository."""
    create_repository(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture(scope="session")
def installed(generation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that serves the generation model, its VAE as graphs; do not change it."""
    repository = tmp_path_factory.mktemp("installed") / "repository"
    create_repository(repository)
    details = {"source": "a test", "demo": True}
    options = StageOptions(onnx=frozenset({"vae_encoder", "vae_decoder"}))
    version = install_checkpoint(generation, repository, GENERATION, details, options=options)
    serve_offline(repository, "qwen_image", version)
    return repository
