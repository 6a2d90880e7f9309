"""Files on a real disk: whole or not there, and nothing beside them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore

from gateway.storage.whole_files import write_whole
from tests.gateway.storage.test_image_store import files_up_to


def files_under(folder: Path) -> list[str]:
    """Paths of all there is, of what is left over too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("create", [True, False])
def test_a_file_is_written_with_its_folders(tmp_path: Path, create: bool) -> None:
    assert write_whole(tmp_path / "a" / "b" / "c", b"bytes", create=create)
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"bytes"
    assert files_under(tmp_path) == ["a/b/c"]


def test_it_is_as_the_library_would_write_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "ours", b"bytes", create=True)
    obstore.put(LocalStore(tmp_path), "b/theirs", b"bytes", mode="create")
    ours, theirs = (tmp_path / name for name in ("a/ours", "b/theirs"))
    assert ours.stat().st_mode == theirs.stat().st_mode
    assert ours.parent.stat().st_mode == theirs.parent.stat().st_mode


def test_a_file_that_is_there_stays_or_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert write_whole(file, b"first", create=True)
    assert not write_whole(file, b"second", create=True)
    assert file.read_bytes() == b"first"
    assert write_whole(file, b"third", create=False)
    assert file.read_bytes() == b"third"
    assert files_under(tmp_path) == ["file"]


def test_of_many_who_create_one_file_one_does(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        wrote = list(
            threads.map(lambda data: write_whole(tmp_path / "f", data, create=True), contents)
        )
    assert wrote.count(True) == 1
    assert (tmp_path / "f").read_bytes() == contents[wrote.index(True)]
    assert files_under(tmp_path) == ["f"]


def test_where_there_is_no_room_nothing_is_left(tmp_path: Path) -> None:
    with files_up_to(1000), pytest.raises(OSError, match="too large"):
        write_whole(tmp_path / "file", bytes(5000), create=True)
    assert files_under(tmp_path) == []


def test_listings_pass_over_what_a_killed_write_left(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os.link = lambda *_: os._exit(0)  # the process ends between the write and the link
        write_whole(tmp_path / "file", b"half", create=True)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(files_under(tmp_path)) == 1
    assert not (tmp_path / "file").exists()
    assert [entry for chunk in obstore.list(LocalStore(tmp_path)) for entry in chunk] == []
