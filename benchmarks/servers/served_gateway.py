"""A gateway with its embedded Triton, in processes of their own, for as long as a benchmark."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import tritonclient.grpc as triton

from benchmarks.reporting.machine import processor_s
from gateway.triton.loopback_ports import LOOPBACK, free_ports
from gateway.triton.process_group import ProcessGroup, group_members

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
def served_gateway(*, works: bool = True, **settings: object) -> Iterator[ServedGateway]:
    """Start a gateway on a free loopback port, wait until it is ready, stop it in the end.

    `settings` are the gateway's own (gateway/settings.py), over those in the environment;
    `works`: whether jobs run in it.

    Raises:
        RuntimeError: it did not become ready in time; the message ends with its log.
    """
    with _gateway_process(settings, works=works) as (url, group, log_file):
        _wait(group, log_file, lambda client: client.get(f"{url}/health/ready").is_success)
        card = json.loads((log_file.parent / "triton.json").read_text())
        yield ServedGateway(url, group.pid, card["grpc"], card["pid"], card["metrics"])


@contextmanager
def _gateway_process(
    settings: Mapping[str, object], *, works: bool = True
) -> Iterator[tuple[str, ProcessGroup, Path]]:
    """A gateway's URL, processes and log; nothing is awaited."""
    _end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="retouch-benchmark-") as scratch:
        port = free_ports(1)[0]
        log_file = Path(scratch) / "gateway.log"
        command = ["serve", "--host", LOOPBACK, "--port", str(port)]
        group = ProcessGroup(
            [sys.executable, "-m", "gateway.cli", *command, *([] if works else ["--no-worker"])],
            python=Path(sys.executable),
            environment=_environment({**settings, "data_dir": scratch}),
            log_file=log_file,
        )
        try:
            yield f"http://{LOOPBACK}:{port}", group, log_file
        finally:
            group.terminate(STOP_TIMEOUT_S)
            group.kill()


@contextmanager
def gateway_over(triton_urls: str, models: Sequence[str]) -> Iterator[tuple[str, int]]:
    """A gateway over Tritons that run already: its URL and process, once `models` answer.

    Raises:
        RuntimeError: they did not answer in time; the message ends with its log.
    """
    with _gateway_process({"triton_url": triton_urls}) as (url, group, log_file):
        _wait(group, log_file, lambda client: _answer(client, url, models))
        yield url, group.pid


@contextmanager
def other_process() -> Iterator[ProcessPoolExecutor]:
    """A fresh process to run functions in, so that a client has an interpreter of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "RETOUCH_TRITON_URL"}
    return inherited | {f"RETOUCH_{name.upper()}": str(v) for name, v in settings.items()}


def _wait(group: ProcessGroup, log_file: Path, is_there: Callable[[httpx.Client], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(trust_env=False, timeout=10) as client:
        while group.returncode is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if is_there(client):
                    return
            time.sleep(0.2)
    last_words = log_file.read_text()[-3000:]
    raise RuntimeError(
        f"The gateway did not become ready in {START_TIMEOUT_S:.0f} s.\n{last_words}"
    )


def _answer(client: httpx.Client, url: str, models: Sequence[str]) -> bool:
    """Whether every Triton answers for every model."""
    entries = [client.get(f"{url}/v1/models/{model}") for model in models]
    return all(e.is_success and e.json()["ready"] and not e.json()["detail"] for e in entries)


def _end_on_sigterm() -> None:
    """By an exception, so that what was started is stopped."""

    def end(_signal: int, _frame: Any) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
