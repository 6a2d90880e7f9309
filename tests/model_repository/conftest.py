"""Model files import Triton's module by name: here that name means the stand-in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qwen_serving import torchvision_ops
from tests.model_repository import backend_utils

sys.modules["triton_python_backend_utils"] = backend_utils  # type: ignore[assignment]
# Before anything imports diffusers, as `workshop.py` does in the server.
torchvision_ops.declare()

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT / "model_repository"


@pytest.fixture(scope="session")
def generation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen-Image checkpoint."""
    from export_scripts.demo_qwen import save_generation_checkpoint

    folder = tmp_path_factory.mktemp("qwen-image")
    save_generation_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def edit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen-Image-Edit-Plus checkpoint."""
    from export_scripts.demo_qwen import save_edit_checkpoint

    folder = tmp_path_factory.mktemp("qwen-image-edit")
    save_edit_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def version_of(tmp_path_factory: pytest.TempPathFactory):
    """Makes a model's folder whose version 1 has these weights."""

    def make(weights: Path) -> Path:
        folder = tmp_path_factory.mktemp("model")
        (folder / "1").mkdir()
        (folder / "1" / "weights").symlink_to(weights)
        return folder

    return make
