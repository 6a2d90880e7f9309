"""The processes that Triton runs the instances of Python models in, and which of them are missing.

Triton starts none anew, and a model of several answers canaries as long as one of them lives.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from gateway.triton.process_group import all_processes, group_members

_STUB = "triton_python_backend_stub"


class ModelProcesses:
    """Those of one server, by what was seen of them before."""

    def __init__(self) -> None:
        self._known: dict[Path, set[str]] = {}
        """Instances by the model file that they run."""
        self._server_pid = 0
        self._strangers: set[int] = set()
        """Processes that were found not to be of this server, and never will be."""

    def bereaved(self, server_pid: int) -> set[str]:
        """Models of which some instances live and others do no more.

        One that is unloaded or loaded just now may look like that, too. Reads files in `/proc`,
        so call it in a thread; empty where there is none.
        """
        living: defaultdict[Path, set[str]] = defaultdict(set)
        for file, instance in _instances(self._members(server_pid)).values():
            living[file].add(instance)
        self._known = {file: self._known.get(file, set()) | living[file] for file in living}
        return {_model(file) for file in living if living[file] < self._known[file]}

    def _members(self, server_pid: int) -> list[int]:
        if server_pid != self._server_pid:
            self._server_pid, self._strangers = server_pid, set()
        everyone = all_processes()
        members = group_members(server_pid, among=everyone - self._strangers)
        self._strangers = everyone.difference(members)
        return members

    def forget(self, model: str) -> None:
        """It is loaded anew, perhaps with fewer instances."""
        self._known = {file: of for file, of in self._known.items() if _model(file) != model}


def processes_of(model: str, server_pid: int) -> set[int]:
    """Those that run instances of a model now, of whichever load."""
    instances = _instances(group_members(server_pid))
    return {pid for pid, (file, _) in instances.items() if _model(file) == model}


def _instances(processes: Iterable[int]) -> dict[int, tuple[Path, str]]:
    """By process."""
    found = {pid: _instance(pid) for pid in processes}
    return {pid: instance for pid, instance in found.items() if instance}


def _model(file: Path) -> str:
    """Of `.../MODEL/VERSION/model.py`."""
    return file.parent.parent.name


def _instance(pid: int) -> tuple[Path, str] | None:
    """Model file and name, MODEL_0_1, of the instance that a process is; None: it is no stub."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return None
    if len(words) < 2 or Path(words[0]).name != _STUB:
        return None
    file = Path(words[1])
    named = re.compile(rf"{re.escape(_model(file))}(_\d+)+")
    return next(((file, word) for word in words[2:] if named.fullmatch(word)), None)
