"""Tiny checkpoints, and a repository they are installed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
from export_scripts.qwen_repository import GENERATION, install_checkpoint


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
def installed(generation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the generation model and the VAE's graphs; do not change it."""
    repository = tmp_path_factory.mktemp("repository")
    details = {"source": "a test", "demo": True}
    install_checkpoint(generation, repository, GENERATION, details, vae_graphs=True)
    return repository
