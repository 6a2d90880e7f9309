"""Versions in a model repository: a numbered folder is served, one under `.versions` is not.

Triton reads the state off the folders, so it serves the same after a restart. What is not
served must lie outside the models' own folders: anything new in there makes Triton load versions
again that did not change.
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from export_scripts.export_errors import ExportError

STORED = ".versions"
_HISTORY = "history.json"
_MARKS = ("stage.json", "weights", "pipeline/retouch.json")
"""What every whole version has one of."""


class VersionStore:
    """Finds, adds, serves and retires versions of the models of a repository."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository

    def require_models(self, names: Iterable[str]) -> None:
        """Check that models have their entry points.

        Raises:
            ExportError: one has none.
        """
        for name in names:
            if not (self.repository / name / "model.py").exists():
                raise ExportError(
                    f"{self.repository} is no model repository: it has no {name}/model.py. "
                    f"Make one with: retouch-export init {self.repository}"
                )

    def served(self, model: str) -> list[int]:
        """Versions that Triton serves, oldest first."""
        return _versions(self.repository / model)

    def stored(self, model: str) -> list[int]:
        """Versions that wait for their promotion, or are retired; oldest first."""
        return _versions(self.repository / STORED / model)

    def newest(self, model: str) -> int | None:
        """The version added last; None where there is none."""
        return max([*self.served(model), *self.stored(model)], default=None)

    def folder(self, model: str, version: int) -> Path:
        """Where a version lies, served or not.

        Raises:
            ExportError: there is no such version.
        """
        for folder in (self.repository / model, self.repository / STORED / model):
            if version in _versions(folder):
                return folder / str(version)
        known = [*self.served(model), *self.stored(model)]
        there_are = ", ".join(map(str, sorted(known))) or "none"
        raise ExportError(f"{model} has no version {version} here; there are {there_are}.")

    def manifest(self, model: str, version: int) -> dict[str, Any]:
        """What the export wrote of a pipeline model."""
        path = self.folder(model, version) / "pipeline" / "retouch.json"
        return dict(json.loads(path.read_text()))

    def describe(self, model: str, version: int) -> str:
        """Source of a pipeline's version with its stages; engine and precision of a stage's."""
        folder = self.folder(model, version)
        if (folder / "stage.json").exists():
            record = json.loads((folder / "stage.json").read_text())
            return f"{record['engine']}, {record['precision']}, {record['digest'][:12]}"
        if not (folder / "pipeline").exists():
            return ""
        manifest = self.manifest(model, version)
        stages = ", ".join(f"{name} {number}" for name, number in self.stages(model, version))
        return f"{manifest.get('source')} ({stages})"

    def stages(self, model: str, version: int) -> list[tuple[str, int]]:
        """Stage models with their versions that a version of a pipeline model calls."""
        return [stage_of(entry) for entry in self.manifest(model, version)["stages"].values()]

    def draft(self, model: str) -> Path:
        """An empty folder to write a new version into; `keep` makes it one."""
        folder = self.repository / STORED / model / "draft"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def keep(self, model: str, draft: Path) -> int:
        """Make a finished draft the newest version; not served yet."""
        self._add_entry_point(model, draft)
        version = (self.newest(model) or 0) + 1
        draft.rename(draft.with_name(str(version)))
        return version

    def serve(self, model: str, version: int) -> None:
        """Put a version where Triton finds it at its next load of the model."""
        source = self.folder(model, version)
        target = self.repository / model / str(version)
        if source != target:
            source.rename(target)

    def retire(self, model: str, version: int) -> None:
        """Put a version where Triton does not look."""
        source = self.folder(model, version)
        target = self.repository / STORED / model / str(version)
        if source != target:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)

    def remove(self, model: str, version: int) -> None:
        """Delete a version; no Triton must serve it."""
        shutil.rmtree(self.folder(model, version))

    def clear_history(self) -> None:
        """Forget all promotions."""
        (self.repository / STORED / _HISTORY).unlink(missing_ok=True)

    def history(self, model: str) -> list[dict[str, Any]]:
        """Promotions of a pipeline model, oldest first: `version` and `promoted_at`."""
        return list(self._history().get(model, []))

    def record_promotion(self, model: str, version: int) -> None:
        """Note that a version is the one that is served from now on."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        history = self._history()
        history.setdefault(model, []).append({"version": version, "promoted_at": now})
        path = self.repository / STORED / _HISTORY
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(history, indent=1))
        partial.replace(path)

    def _history(self) -> dict[str, list[dict[str, Any]]]:
        path = self.repository / STORED / _HISTORY
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _add_entry_point(self, model: str, folder: Path) -> None:
        """Triton wants `model.py` in every version.

        A file stands where Python would write its byte code: a folder that changes after it was
        loaded is loaded again whenever a version comes or goes.
        """
        shutil.copy(self.repository / model / "model.py", folder)
        (folder / "__pycache__").touch()


def stage_of(entry: Mapping[str, Any]) -> tuple[str, int]:
    """Model and version of an entry of a manifest's `stages`."""
    return entry["model"], entry["version"]


def _versions(folder: Path) -> list[int]:
    found = [path for path in folder.glob("[0-9]*") if path.name.isdigit()]
    return sorted(int(p.name) for p in found if any((p / mark).exists() for mark in _MARKS))
