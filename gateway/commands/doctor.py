"""Looks for what would keep this machine from serving, without network access."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.errors import TritonSetupError
from gateway.triton.loopback_ports import can_bind
from gateway.triton.stub_environment import (
    Interpreter,
    check_minor,
    check_numpy,
    inspect_interpreter,
    library_path,
)
from gateway.triton.triton_installation import TritonInstallation, find_installation

GIB = 1024**3
SHARED_MEMORY_BYTES = 1 * GIB
FREE_DISK_BYTES = 2 * GIB
PYTHONS = ((3, 11), (3, 12))
MODEL_WEIGHTS = {
    "fastsam": "1/model.onnx",
    "qwen_image": "1/pipeline/model_index.json",
    "qwen_image_edit": "1/pipeline/model_index.json",
    "qwen_text_encoder": "1/weights/config.json",
    "qwen_vae_encoder": "1/weights/config.json",
    "qwen_vae_decoder": "1/weights/config.json",
    "qwen_image_transformer": "1/weights/config.json",
    "qwen_image_edit_transformer": "1/weights/config.json",
}


class DoctorSettings(Protocol):
    """The settings that the doctor looks at."""

    @property
    def triton_cache(self) -> Path: ...  # noqa: D102
    @property
    def model_repository(self) -> Path: ...  # noqa: D102
    @property
    def data_dir(self) -> Path: ...  # noqa: D102
    @property
    def host(self) -> str: ...  # noqa: D102
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def triton_url(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `advice` says what to do, and is None where there is nothing to do."""

    name: str
    ok: bool
    detail: str
    advice: str | None = None


def diagnose(settings: DoctorSettings) -> list[Finding]:
    """Return every finding, good ones too, in the order in which they should be dealt with."""
    findings = [_python()]
    if settings.triton_url:
        findings.append(Finding("Triton", True, f"external, at {settings.triton_url}; not asked"))
    else:
        findings.extend(_embedded_triton(settings.triton_cache, Path(sys.executable)))
    findings += [_shared_memory(), _disk(settings.data_dir), _gpu()]
    findings.extend(_models(settings.model_repository))
    findings.append(_port(settings.host, settings.port))
    return findings


def _python() -> Finding:
    wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    ok = sys.version_info[:2] in PYTHONS
    advice = None if ok else f"Install Retouch with Python {wanted}."
    return Finding("Python", ok, platform.python_version(), advice)


def _embedded_triton(cache: Path, python: Path) -> Iterator[Finding]:
    installation: TritonInstallation | None = None
    try:
        installation = find_installation(cache, fetch=False)
        where = f"{installation.origin} {installation.version}, {installation.executable}"
        yield Finding("Triton", True, where)
    except TritonSetupError as exc:
        yield Finding("Triton", False, "not installed", exc.message)
    if installation is None or installation.origin == "wheel":
        yield from _wheel_environment(inspect_interpreter(python), installation)
    elif installation.python_stub is None:
        yield Finding("Python stub", False, "the local Triton has no Python backend")


def _wheel_environment(
    interpreter: Interpreter, installation: TritonInstallation | None
) -> Iterator[Finding]:
    numpy, library = interpreter.numpy or "missing", interpreter.library or "missing"
    stub = (installation and installation.python_stub) or f"for Python {interpreter.minor}"
    yield _checked("numpy", numpy, lambda: check_numpy(interpreter))
    yield _checked("Python stub", str(stub), lambda: check_minor(interpreter.minor))
    yield _checked("libpython", library, lambda: library_path(interpreter))


def _checked(name: str, detail: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except TritonSetupError as exc:
        return Finding(name, False, detail, exc.message)
    return Finding(name, True, detail)


def _shared_memory(directory: Path = Path("/dev/shm")) -> Finding:  # noqa: S108
    try:
        volume = os.statvfs(directory)
    except OSError:
        return Finding("shared memory", False, f"{directory} is missing", "Mount a tmpfs there.")
    size = volume.f_frsize * volume.f_blocks
    ok = size >= SHARED_MEMORY_BYTES
    advice = "In a container, use --shm-size=1g (compose: shm_size: 1gb) or --ipc=host."
    return Finding("shared memory", ok, f"{directory}: {_gib(size)}", None if ok else advice)


def _disk(data_dir: Path) -> Finding:
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    ok = free >= FREE_DISK_BYTES
    advice = f"Free {_gib(FREE_DISK_BYTES)} or move the data folder."
    return Finding("disk", ok, f"{data_dir}: {_gib(free)} free", None if ok else advice)


def _gpu() -> Finding:
    command = shutil.which("nvidia-smi")
    if command is None:
        return Finding("GPU", True, "none: models run on the CPU")
    try:
        done = subprocess.run(  # noqa: S603
            [command, "-L"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return Finding("GPU", True, f"nvidia-smi fails: {exc}", "Check the NVIDIA driver.")
    names = [line.partition(" (UUID")[0] for line in done.stdout.splitlines() if line.strip()]
    return Finding("GPU", True, ", ".join(names) or "none: models run on the CPU")


def _models(repository: Path) -> Iterator[Finding]:
    if not repository.is_dir():
        advice = "Set the model repository to the folder that came with Retouch."
        yield Finding("model repository", False, f"{repository} is missing", advice)
        return
    for model, weights in MODEL_WEIGHTS.items():
        yield _model(repository / model, weights)


def _model(folder: Path, weights: str) -> Finding:
    name = f"model {folder.name}"
    if not (folder / "config.pbtxt").is_file():
        return Finding(name, False, f"{folder} has no config.pbtxt", "Restore the model's folder.")
    if not (folder / weights).is_file():
        return Finding(name, False, f"no {weights}", "Run retouch-export demo.")
    return Finding(name, True, f"has {weights}")


def _port(host: str, port: int) -> Finding:
    ok = can_bind([port], host=host)
    advice = "Stop what listens there, or serve on another port."
    detail = f"{host}:{port} is {'free' if ok else 'not free'}"
    return Finding("port", ok, detail, None if ok else advice)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
