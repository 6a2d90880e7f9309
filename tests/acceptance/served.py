"""A gateway with its embedded Triton as a person would start them, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import tritonclient.grpc as triton

from gateway.triton.model_processes import processes_of
from tests.served_logs import WATCHED

START_TIMEOUT_S = 180.0


class Served:
    """`retouch serve`, or another `command` of it, on a free port; `stop` ends it."""

    def __init__(
        self,
        data_dir: Path,
        *,
        command: Sequence[str] = ("serve",),
        module: str = "gateway.cli",
        port: int | None = None,
        **settings: object,
    ) -> None:
        self.data_dir = data_dir
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir / "gateway.log"
        WATCHED.watch(self.log, settings)
        WATCHED.watch(data_dir / "logs" / "triton.log", settings)
        environment = {name: v for name, v in os.environ.items() if not name.startswith("RETOUCH_")}
        environment |= {f"RETOUCH_{name.upper()}": str(value) for name, value in settings.items()}
        environment |= {"RETOUCH_DATA_DIR": str(data_dir), "RETOUCH_PORT": str(self.port)}
        data_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *command],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until every model answered a canary."""
        eventually(self.is_ready, timeout_s=timeout_s, say=self._last_words)

    def is_ready(self) -> bool:
        try:
            return self.http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            assert self.process.poll() is None, self._last_words()
            return False

    def stop(self) -> int:
        """Ask it to end, as an operator would."""
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    @property
    def triton(self) -> dict[str, Any]:
        """Where its Triton listens, and its process."""
        card: dict[str, Any] = json.loads((self.data_dir / "triton.json").read_text())
        return card

    def statistics(self, model: str) -> tuple[int, int]:
        """Requests and executions so far, by Triton's own count."""
        with triton.InferenceServerClient(self.triton["grpc"]) as client:
            answer = client.get_inference_statistics(model, as_json=True)["model_stats"][0]
        return int(answer.get("inference_count", 0)), int(answer.get("execution_count", 0))

    def stub_of(self, model: str) -> int:
        """Process of a model's Python stub."""
        return min(self.stubs_of(model))

    def stubs_of(self, model: str) -> set[int]:
        """Processes of a model's instances."""
        stubs = processes_of(model, os.getpgid(self.triton["pid"]))
        assert stubs, f"no stub of {model} runs"
        return stubs

    def submit(self, **job: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json=job)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def finish(self, job: dict[str, Any]) -> dict[str, Any]:
        ended: dict[str, Any] = self.http.get(f"/v1/jobs/{job['id']}", params={"wait": 50}).json()
        return ended

    def upload(self, data: bytes) -> str:
        answer = self.http.post("/v1/files", files={"file": data})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def _last_words(self) -> str:
        triton_log = self.data_dir / "logs" / "triton.log"
        logs = [self.log.read_text()[-2000:]]
        if triton_log.exists():
            logs.append(triton_log.read_text()[-2000:])
        return "\n".join(logs)


def eventually(
    condition: Callable[[], bool], *, timeout_s: float, say: Callable[[], str] = lambda: ""
) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s\n{say()}"
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
