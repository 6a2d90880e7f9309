"""Finding and fetching Triton: real pip, real wheel, and interpreters that lie about themselves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import TritonSetupError
from gateway.triton.triton_installation import (
    WHEEL,
    check_stub_environment,
    find_installation,
    python_library_path,
)

CACHE = Path.home() / ".cache" / "retouch"
NOWHERE = ""
GOOD = {
    "version": "3.11.7",
    "base_prefix": "/usr",
    "numpy": "1.26.4",
    "library": "/usr/lib/libpython3.11.so.1.0",
    "library_version": "3.11.7",
}


def interpreter_that_says(folder: Path, **changes: str | None) -> Path:
    python = folder / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(GOOD | changes)}'\n")
    python.chmod(0o755)
    return python


def local_triton(prefix: Path) -> Path:
    for folder in ("bin", "backends/python", "caches"):
        (prefix / folder).mkdir(parents=True)
    executable = prefix / "bin" / "tritonserver"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    return executable


def test_a_local_installation_comes_first(tmp_path: Path) -> None:
    executable = local_triton(tmp_path / "triton")
    (tmp_path / "triton" / "TRITON_VERSION").write_text("2.63.0\n")
    (tmp_path / "triton/backends/python/triton_python_backend_stub").touch()

    found = find_installation(tmp_path / "cache", search_path=str(executable.parent))

    assert (found.origin, found.version, found.executable) == ("local", "2.63.0", executable)
    assert found.backend_directory == tmp_path / "triton" / "backends"
    assert found.cache_directory == tmp_path / "triton" / "caches"
    assert found.python_stub == found.backend_directory / "python" / "triton_python_backend_stub"
    assert not (tmp_path / "cache").exists()


def test_a_link_on_the_path_leads_to_the_installation(tmp_path: Path) -> None:
    executable = local_triton(tmp_path / "triton")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tritonserver").symlink_to(executable)

    found = find_installation(tmp_path / "cache", search_path=str(tmp_path / "bin"))

    assert found.executable == executable
    assert found.python_stub is None


def test_a_local_server_without_backends_is_passed_over(tmp_path: Path) -> None:
    executable = local_triton(tmp_path)
    shutil.rmtree(tmp_path / "backends")
    assert find_installation(CACHE, search_path=str(executable.parent)).origin == "wheel"


def test_the_wheel_is_laid_out_for_this_python() -> None:
    found = find_installation(CACHE, search_path=NOWHERE)
    assert (found.origin, found.version) == ("wheel", "2.51.0")
    assert os.access(found.executable, os.X_OK)
    assert found.cache_directory is not None
    assert (found.cache_directory / "local" / "libtritoncache_local.so").is_file()
    backend = found.backend_directory / "python"
    assert (backend / "libtriton_python.so").is_file()
    assert (backend / "triton_python_backend_utils.py").is_file()
    assert found.python_stub == backend / "triton_python_backend_stub"
    assert found.python_stub.resolve().parent.name == f"3.{sys.version_info.minor}"


def test_pythons_of_two_versions_share_a_cache(tmp_path: Path) -> None:
    other = find_installation(
        CACHE, search_path=NOWHERE, python=interpreter_that_says(tmp_path, version="3.10.13")
    )
    assert other.python_stub is not None
    assert other.python_stub.resolve().parent.name == "3.10"
    own = find_installation(CACHE, search_path=NOWHERE)
    assert own.executable == other.executable
    assert own.backend_directory != other.backend_directory


def test_nothing_is_fetched_when_that_is_not_allowed(tmp_path: Path) -> None:
    with pytest.raises(TritonSetupError, match="allow it to be fetched"):
        find_installation(tmp_path / "cache", fetch=False, search_path=NOWHERE)
    assert not (tmp_path / "cache").exists()


def test_a_failed_download_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(TritonSetupError, match=f"pip could not fetch {WHEEL}: .*No matching"):
        find_installation(tmp_path, search_path=NOWHERE)
    assert [path.name for path in tmp_path.iterdir()] == ["triton-2.51.0.lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TritonSetupError, match="not writable"):
        find_installation(tmp_path / "file", search_path=NOWHERE)


def test_two_processes_fetch_one_good_folder(tmp_path: Path) -> None:
    leftover = tmp_path / "triton-2.51.0.partial" / "half"
    leftover.mkdir(parents=True)
    program = (
        "import sys; from pathlib import Path; from gateway.triton.triton_installation import *;"
        "print(find_installation(Path(sys.argv[1]), search_path='').executable)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        printed = [process.communicate(timeout=90)[0].strip() for process in both]
        assert [process.returncode for process in both] == [0, 0]
        assert printed[0] == printed[1]
        assert Path(printed[0]).is_file()
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"triton-2.51.0", "triton-2.51.0.lock"}
        assert not (tmp_path / "triton-2.51.0" / "half").exists()
    finally:
        shutil.rmtree(tmp_path / "triton-2.51.0", ignore_errors=True)


def test_this_environment_can_run_models() -> None:
    check_stub_environment(Path(sys.executable))
    library = python_library_path(Path(sys.executable))
    assert library.is_file()
    assert library.name == f"libpython3.{sys.version_info.minor}.so.1.0"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"numpy": None}, "has no numpy: run '.* -m pip install \"numpy<2\"'"),
        ({"numpy": "2.4.6"}, "has numpy 2.4.6, with which the wheel's Triton passes empty tensors"),
        ({"version": "3.14.1"}, "no stub for Python 3.14; it has 3.8, .*3.13"),
        ({"library": None, "library_version": None}, "libpython3.11.so.1.0 is neither in /usr/lib"),
        ({"library_version": "3.11.2"}, "is Python 3.11.7 but the only libpython.* is 3.11.2"),
    ],
)
def test_an_environment_that_cannot_run_models_is_refused(
    tmp_path: Path, changes: dict[str, str | None], sentence: str
) -> None:
    python = interpreter_that_says(tmp_path, **changes)
    with pytest.raises(TritonSetupError, match=sentence):
        check_stub_environment(python)


def test_an_interpreter_that_does_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TritonSetupError, match="no-python does not run"):
        check_stub_environment(tmp_path / "no-python")
