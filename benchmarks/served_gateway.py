"""A gateway with its embedded Triton, in processes of their own, for as long as a benchmark."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import tritonclient.grpc as triton

from benchmarks.machine import processor_s
from gateway.loopback_ports import LOOPBACK, free_ports
from gateway.process_group import ProcessGroup, group_members

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class ServedGateway:
    """A gateway that answers, and the Triton it started."""

    url: str
    pid: int
    triton_url: str
    """host:port of its gRPC."""
    triton_pid: int
    metrics_url: str
    """Of Triton's metrics."""

    def processor_s(self) -> float:
        """Processor time of the gateway's process so far, without Triton's."""
        return processor_s([self.pid])

    def triton_processor_s(self) -> float:
        """Processor time of Triton and its models' processes so far."""
        return processor_s(group_members(self.triton_pid))

    def triton_version(self) -> str:
        """As the server says."""
        with triton.InferenceServerClient(self.triton_url) as client:
            return str(client.get_server_metadata(client_timeout=10).version)

    def counts(self, model: str) -> tuple[int, int]:
        """Inferences and executions of a model so far, by Triton's own count."""
        with triton.InferenceServerClient(self.triton_url) as client:
            answer = client.get_inference_statistics(model, client_timeout=10)
        return answer.model_stats[0].inference_count, answer.model_stats[0].execution_count


@contextmanager
def served_gateway(**settings: object) -> Iterator[ServedGateway]:
    """Start a gateway on a free loopback port, wait until it is ready, stop it in the end.

    `settings` are the gateway's own (gateway/settings.py), over those in the environment.

    Raises:
        RuntimeError: it did not become ready in time; the message ends with its log.
    """
    _end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="retouch-benchmark-") as scratch:
        folder = Path(scratch)
        port = free_ports(1)[0]
        log_file = folder / "gateway.log"
        group = ProcessGroup(
            [sys.executable, "-m", "gateway.cli", "serve", "--host", LOOPBACK, "--port", str(port)],
            python=Path(sys.executable),
            environment=_environment({**settings, "data_dir": folder}),
            log_file=log_file,
        )
        try:
            url = f"http://{LOOPBACK}:{port}"
            _wait_until_ready(url, group, log_file)
            card = json.loads((folder / "triton.json").read_text())
            yield ServedGateway(url, group.pid, card["grpc"], card["pid"], card["metrics"])
        finally:
            group.terminate(STOP_TIMEOUT_S)
            group.kill()


@contextmanager
def other_process() -> Iterator[ProcessPoolExecutor]:
    """A fresh process to run functions in, so that a client has an interpreter of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


def _environment(settings: dict[str, object]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "RETOUCH_TRITON_URL"}
    return inherited | {f"RETOUCH_{name.upper()}": str(v) for name, v in settings.items()}


def _wait_until_ready(url: str, group: ProcessGroup, log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(trust_env=False, timeout=10) as client:
        while group.returncode is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get(f"{url}/health/ready").status_code == 200:
                    return
            time.sleep(0.2)
    last_words = log_file.read_text()[-3000:]
    raise RuntimeError(
        f"The gateway did not become ready in {START_TIMEOUT_S:.0f} s.\n{last_words}"
    )


def _end_on_sigterm() -> None:
    """By an exception, so that what was started is stopped."""

    def end(_signal: int, _frame: Any) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
