"""What the interpreter that runs the models must have, for the Triton that comes from the wheel."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import TritonSetupError

STUB_MINORS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
PROBE_TIMEOUT_S = 60

# The loader may know a libpython of another patch release: the library is asked for its version.
_PROBE = """
import ctypes, json, os, platform, sys, sysconfig
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
def find():
    for folder in (os.path.join(sys.base_prefix, "lib"), sysconfig.get_config_var("LIBDIR") or ""):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    try:
        ctypes.CDLL(name)
    except OSError:
        return None
    with open("/proc/self/maps") as maps:
        return next((line.split()[-1] for line in maps if line.rstrip().endswith("/" + name)), None)
library = find()
if library:
    get_version = ctypes.CDLL(library).Py_GetVersion
    get_version.restype = ctypes.c_char_p
try:
    import numpy
    numpy_version = numpy.__version__
except Exception:
    numpy_version = None
print(json.dumps({
    "version": platform.python_version(),
    "base_prefix": sys.base_prefix,
    "numpy": numpy_version,
    "library": library,
    "library_version": library and get_version().split()[0].decode(),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """What a Python says about itself; `numpy` and `library` are None where missing."""

    python: Path
    version: str
    base_prefix: str
    numpy: str | None
    library: str | None
    library_version: str | None

    @property
    def minor(self) -> str:
        """Such as "3.11"."""
        return ".".join(self.version.split(".")[:2])


def inspect_interpreter(python: Path) -> Interpreter:
    """Run `python` once and return what it says; raises TritonSetupError if it does not run."""
    command = [str(python), "-c", _PROBE]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=True
        )
        return Interpreter(python=python, **json.loads(done.stdout.splitlines()[-1]))
    except (OSError, ValueError, TypeError, IndexError, subprocess.SubprocessError) as exc:
        raise TritonSetupError(f"The Python interpreter {python} does not run: {exc}.") from exc


def check_stub_environment(python: Path) -> None:
    """Raise TritonSetupError if models cannot run in `python` under the wheel's Triton."""
    check_interpreter(inspect_interpreter(python))


def check_interpreter(interpreter: Interpreter) -> None:
    """Raise TritonSetupError for the first thing that the wheel's stub cannot work with."""
    check_minor(interpreter.minor)
    check_numpy(interpreter)
    library_path(interpreter)


def check_minor(minor: str) -> None:
    """Raise TritonSetupError if the wheel has no stub for this Python."""
    if minor not in STUB_MINORS:
        raise TritonSetupError(
            f"Triton's wheel has no stub for Python {minor}; it has {', '.join(STUB_MINORS)}."
        )


def check_numpy(interpreter: Interpreter) -> None:
    """Raise TritonSetupError unless the interpreter has numpy 1."""
    python, numpy = interpreter.python, interpreter.numpy
    install = f"run '{python} -m pip install \"numpy<2\"'"
    if numpy is None:
        raise TritonSetupError(f"{python} has no numpy: {install}.")
    if int(numpy.split(".")[0]) >= 2:
        raise TritonSetupError(
            f"{python} has numpy {numpy}, with which the wheel's Triton passes empty tensors "
            f"without an error: {install}."
        )


def python_library_path(python: Path) -> Path:
    """Return the libpython file of `python`'s base interpreter; raises TritonSetupError."""
    return library_path(inspect_interpreter(python))


def library_path(interpreter: Interpreter) -> Path:
    """Return the interpreter's libpython file.

    Raises TritonSetupError if there is none, or only one of another patch release: with that one,
    simple models work and `multiprocessing` breaks.
    """
    name = f"libpython{interpreter.minor}.so.1.0"
    if interpreter.library is None:
        raise TritonSetupError(
            f"{name} is neither in {interpreter.base_prefix}/lib nor known to the loader: use a "
            f"Python built with --enable-shared, or install libpython{interpreter.minor}."
        )
    if interpreter.library_version != interpreter.version:
        raise TritonSetupError(
            f"{interpreter.python} is Python {interpreter.version} but the only {name} is "
            f"{interpreter.library_version} ({interpreter.library}): use a Python built with "
            "--enable-shared."
        )
    return Path(interpreter.library)
