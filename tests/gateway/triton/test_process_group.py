"""A command in a group of its own, and how much of the processors it claims."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.triton.process_group import ProcessGroup, group_members

StartGroup = Callable[[int], ProcessGroup]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartGroup]:
    """Start one that sleeps, and whose log says when its launcher has become it."""
    groups = []
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]

    def start_one(niceness: int) -> ProcessGroup:
        log_file = tmp_path / f"{niceness}.log"
        python, environment = Path(sys.executable), dict(os.environ)
        groups.append(
            ProcessGroup(
                command,
                python=python,
                environment=environment,
                log_file=log_file,
                niceness=niceness,
            )
        )
        while "up" not in log_file.read_text():
            assert groups[-1].returncode is None, log_file.read_text()
        return groups[-1]

    yield start_one
    for group in groups:
        group.kill()


def niceness_of(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_a_group_becomes_as_nice_as_it_should(start: StartGroup) -> None:
    here = niceness_of(0)
    assert niceness_of(start(here + 3).pid) == here + 3


def test_a_group_is_never_less_nice_than_what_starts_it(start: StartGroup) -> None:
    here = niceness_of(0)
    assert niceness_of(start(max(0, here - 1)).pid) == here


def test_where_sessions_share_the_processors_the_session_is_as_nice(start: StartGroup) -> None:
    session = Path(f"/proc/{start(7).pid}/autogroup")
    words = ""
    with suppress(OSError):
        words = session.read_text()
    if not words:
        pytest.skip("processors are not shared by sessions here")
    assert words.split()[-2:] == ["nice", "7"]


def test_killing_leaves_nothing(start: StartGroup) -> None:
    group = start(0)
    assert group.pid in group_members(group.pid)
    group.kill()
    assert group_members(group.pid) == []
