"""Promote a version of a pipeline model to the one that is served, or go back, under load.

The order is what loses no request: new stages are loaded beside the old ones; the pipeline is
proven under a name of its own; it takes over, while the jobs of the old version go on with the
old stages; those go last. Killed anywhere, the repository serves a whole version, and the next
promotion clears up.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from export_scripts.export_errors import ExportError
from export_scripts.qwen_models import MODELS, STAGES
from export_scripts.triton_control import TritonControl
from export_scripts.version_store import VersionStore

CANDIDATE_SUFFIX = "_candidate"
VERIFICATION = "verification.json"
Verify = Callable[[str, int, str], None]
"""Called with model, version and the name that Triton serves it under; raises when it is off."""


@dataclass(frozen=True)
class Promotion:
    """What a promotion or a rollback did."""

    model: str
    version: int
    swap_s: float
    """From the request to swap until the new version answered; the old one served until then."""
    drained: bool
    """Whether the old version's jobs ended within the timeout; if not, its stages still serve."""


class Promoter:
    """Changes which versions of a repository a running Triton serves."""

    def __init__(self, repository: Path, triton: TritonControl, *, drain_timeout_s: float) -> None:
        self._store = VersionStore(repository)
        self._triton = triton
        self._drain_timeout_s = drain_timeout_s

    def promote(self, model: str, version: int | None, verify: Verify) -> Promotion:
        """Serve a version, by default the newest, once it was verified.

        Raises:
            ExportError: there is no such version or it is served already, it cannot be loaded,
                or `verify` refused it; what was served before is served still.
        """
        wanted = self._store.newest(model) if version is None else version
        if wanted is None:
            raise ExportError(f"{model} has no version; export one first.")
        if wanted in self._store.served(model):
            raise ExportError(f"{model} version {wanted} is what is served.")
        record = self._store.folder(model, wanted) / VERIFICATION
        with self._stages_loaded(model, wanted):
            if not record.exists():
                with self._served_as_candidate(model, wanted) as name:
                    verify(model, wanted, name)
            old, swap_s = self._swap(model, wanted)
        return Promotion(model, wanted, swap_s, self._drain(model, old))

    def roll_back(self, model: str) -> Promotion:
        """Serve what was served before the last promotion, as a version with a number of its own.

        Raises:
            ExportError: there was nothing before, it was deleted, or cannot be loaded.
        """
        history = self._store.history(model)
        if len(history) < 2:
            raise ExportError(f"{model} was promoted {len(history)} times; nothing to go back to.")
        before = self._store.folder(model, history[-2]["version"])
        draft = self._store.draft(model)
        shutil.copytree(before, draft, dirs_exist_ok=True)
        version = self._store.keep(model, draft)
        with self._stages_loaded(model, version):
            old, swap_s = self._swap(model, version)
        return Promotion(model, version, swap_s, self._drain(model, old))

    def _swap(self, model: str, version: int) -> tuple[list[int], float]:
        """Versions that served before, and the seconds until the new one answered."""
        old = self._store.served(model)
        started = time.monotonic()
        self._store.serve(model, version)
        try:
            self._triton.load(model)
            self._triton.require_ready(model, version)
        except ExportError:
            self._store.retire(model, version)
            self._triton.load(model)
            raise
        self._store.record_promotion(model, version)
        return old, time.monotonic() - started

    def _drain(self, model: str, old: list[int]) -> bool:
        """Wait for the old versions' jobs; retire what nobody calls then."""
        deadline = time.monotonic() + self._drain_timeout_s
        for one in old:
            left_s = max(0.0, deadline - time.monotonic())
            if not self._triton.wait_gone(model, one, timeout_s=left_s):
                return False
        for one in old:
            self._store.retire(model, one)
        self.retire_unused_stages()
        return True

    def retire_unused_stages(self) -> list[tuple[str, int]]:
        """Unload stage versions that no served pipeline calls."""
        unused = unused_stages(self._store)
        for stage, version in unused:
            self._store.retire(stage, version)
        self._load(sorted({stage for stage, _ in unused}))
        return unused

    @contextmanager
    def _stages_loaded(self, model: str, version: int) -> Iterator[None]:
        """Load a version's stages beside those that serve; if it fails, as they were before."""
        added: list[tuple[str, int]] = []
        try:
            for stage, number in self._store.stages(model, version):
                if number not in self._store.served(stage):
                    self._store.serve(stage, number)
                    added.append((stage, number))
            self._load([stage for stage, _ in added])
            for stage, number in self._store.stages(model, version):
                self._triton.require_ready(stage, number)
            yield
        except BaseException:
            for stage, number in added:
                self._store.retire(stage, number)
            self._load([stage for stage, _ in added])
            raise

    def _load(self, stages: Sequence[str]) -> None:
        """All at once: each is a process of its own that mostly reads its weights."""
        with ThreadPoolExecutor(max(1, len(stages))) as threads:
            for done in [threads.submit(self._triton.load, stage) for stage in stages]:
                done.result()

    @contextmanager
    def _served_as_candidate(self, model: str, version: int) -> Iterator[str]:
        """Serve a version of a pipeline under a name that no client knows."""
        name = model + CANDIDATE_SUFFIX
        folder = self._store.repository / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._store.folder(model, version), folder / "1")
        _copy_configs(self._store.repository / model, folder, name)
        try:
            self._triton.load(name)
            yield name
        finally:
            self._triton.unload(name)
            shutil.rmtree(folder, ignore_errors=True)


def serve_offline(repository: Path, model: str, version: int) -> None:
    """Serve a version from Triton's next start on, unverified: for the demo models."""
    store = VersionStore(repository)
    old = store.served(model)
    for stage, number in store.stages(model, version):
        store.serve(stage, number)
    for one in old:
        store.retire(model, one)
    store.serve(model, version)
    store.record_promotion(model, version)
    for stage, number in unused_stages(store):
        store.retire(stage, number)


def unused_stages(store: VersionStore) -> list[tuple[str, int]]:
    """Stage versions that are served though no served pipeline calls them."""
    used = {
        stage
        for model in MODELS
        for version in store.served(model)
        for stage in store.stages(model, version)
    }
    served = [(stage, version) for stage in STAGES for version in store.served(stage)]
    return [entry for entry in served if entry not in used]


def prune(repository: Path, *, keep: int) -> list[tuple[str, int]]:
    """Delete versions that are not served, but for each pipeline's newest `keep` and their stages.

    Returns:
        Models and versions that are gone.
    """
    store = VersionStore(repository)
    kept: set[tuple[str, int]] = set()
    gone: list[tuple[str, int]] = []
    for model in MODELS:
        stored = store.stored(model)
        newest = stored[len(stored) - keep :] if keep else []
        for version in newest:
            kept.update(store.stages(model, version))
        gone += [(model, version) for version in stored if version not in newest]
    for stage in STAGES:
        gone += [(stage, v) for v in store.stored(stage) if (stage, v) not in kept]
    for name, version in gone:
        store.remove(name, version)
    return gone


def record_verification(repository: Path, model: str, version: int, cases: object) -> None:
    """Keep what a verification found beside the version, so that it need not run again."""
    path = VersionStore(repository).folder(model, version) / VERIFICATION
    path.write_text(json.dumps(cases, indent=1))


def _copy_configs(source: Path, target: Path, name: str) -> None:
    for path in [source / "config.pbtxt", *source.glob("configs/*.pbtxt")]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = re.sub(r'(?m)^name: *"[^"]*"', f'name: "{name}"', path.read_text())
        copy.write_text(text)
