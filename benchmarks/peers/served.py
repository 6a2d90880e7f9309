"""Peers as processes of their own, for as long as a benchmark."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.peers.codecs import CODECS, TUTORIAL
from benchmarks.reporting.machine import processor_s
from gateway.triton.loopback_ports import LOOPBACK, free_ports
from gateway.triton.process_group import ProcessGroup

START_TIMEOUT_S = 120.0
CHECKOUT = Path(__file__).resolve().parents[2]
PYTHON = CHECKOUT / ".venv-peers" / "bin" / "python"
_BENTOML = ("-m", "bentoml", "serve", "benchmarks.peers.bentoml_peer:Masks")
PEERS = ("FastAPI", "LitServe", "BentoML")
TUTORIAL_PEERS = ("FastAPI, tutorial codecs", "LitServe, tutorial codecs")
DIFFUSERS = "FastAPI + diffusers"
_MODULES = {
    "FastAPI": "benchmarks.peers.fastapi_peer",
    "LitServe": "benchmarks.peers.litserve_peer",
    "FastAPI, tutorial codecs": "benchmarks.peers.fastapi_peer",
    "LitServe, tutorial codecs": "benchmarks.peers.litserve_peer",
    DIFFUSERS: "benchmarks.peers.diffusers_peer",
}


@dataclass(frozen=True)
class ServedPeer:
    """A peer that answers."""

    name: str
    url: str
    group: ProcessGroup

    def processor_s(self) -> float:
        """Processor time of all its processes so far; BentoML's are in groups of their own."""
        children = psutil.Process(self.group.pid).children(recursive=True)
        return processor_s([self.group.pid, *(child.pid for child in children)])


def _command(name: str, port: int) -> list[str]:
    if name == DIFFUSERS:
        return [sys.executable, "-m", _MODULES[name], str(port)]
    if not PYTHON.exists():
        raise RuntimeError(f"{name} needs an environment of its own: run make .installed-perf")
    if name == "BentoML":
        return [str(PYTHON), *_BENTOML, "--host", LOOPBACK, "--port", str(port)]
    return [str(PYTHON), "-m", _MODULES[name], str(port)]


@contextmanager
def served_peer(name: str, *, logs: Path) -> Iterator[ServedPeer]:
    """Start one of these peers on a free loopback port; stop it in the end.

    Raises:
        RuntimeError: it has no environment, or did not answer in time; the message says which, and
            ends with its log.
    """
    port = free_ports(1)[0]
    url = f"http://{LOOPBACK}:{port}"
    log_file = logs / f"{name}.log"
    # No telemetry: a benchmark talks to this machine alone.
    environment = os.environ | {
        "BENTOML_DO_NOT_TRACK": "True",
        "LITSERVE_LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(CHECKOUT),
        CODECS: TUTORIAL if name in TUTORIAL_PEERS else "",
    }
    group = ProcessGroup(
        _command(name, port),
        python=Path(sys.executable),
        environment=environment,
        log_file=log_file,
    )
    try:
        _wait(name, url, group, log_file)
        yield ServedPeer(name, url, group)
    finally:
        group.terminate(10)
        group.kill()


def _wait(name: str, url: str, group: ProcessGroup, log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(trust_env=False, timeout=5) as client:
        while group.returncode is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get(url).status_code < 500:
                    return
            time.sleep(0.2)
    raise RuntimeError(f"{name} did not answer.\n{log_file.read_text()[-2000:]}")
