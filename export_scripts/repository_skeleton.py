"""A model repository of one's own, without weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from export_scripts.export_errors import ExportError

PACKAGED = Path(__file__).resolve().parents[1] / "model_repository"


def create_repository(target: Path) -> None:
    """Copy configs, entry points and the models' shared code into a new folder.

    Raises:
        ExportError: the folder is there already.
    """
    if target.exists():
        raise ExportError(f"{target} is there already.")
    shutil.copytree(PACKAGED, target, ignore=_weights)


def _weights(folder: str, names: list[str]) -> list[str]:
    generated = {".versions", "__pycache__"}
    is_fastsam = Path(folder).name == "fastsam"
    is_qwen_model = (Path(folder) / "model.py").exists() and (
        Path(folder) / "config.pbtxt"
    ).exists()
    return [
        name
        for name in names
        if name in generated
        or name.endswith(("_candidate", ".onnx"))
        or name.startswith("clip_")
        or name == "export.json"
        or (is_fastsam and name.isdigit() and name != "1")
        or (is_qwen_model and name.isdigit())
    ]
