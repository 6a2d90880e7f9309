"""Starts, checks and stops one embedded Triton: a process group of ours, on loopback ports."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from gateway.errors import TritonSetupError
from gateway.process.processor_turns import NICENESS
from gateway.triton.loopback_ports import LOOPBACK, accepts, can_bind, free_ports
from gateway.triton.process_group import ProcessGroup
from gateway.triton.shared_memory_sweep import sweep_stale_regions
from gateway.triton.stub_environment import (
    Interpreter,
    check_interpreter,
    inspect_interpreter,
    library_path,
)
from gateway.triton.triton_installation import TritonInstallation

logger = logging.getLogger(__name__)

PORT_ATTEMPTS = 3
POLL_S = 0.02


class TritonPorts(NamedTuple):
    """Loopback ports of one server."""

    grpc: int
    http: int
    metrics: int


@dataclass(frozen=True, kw_only=True)
class TritonServerOptions:
    """How the embedded server runs.

    `python` is the interpreter of the environment that the models run in. `server_id` must be
    unique on this machine. `config_name` picks `<model>/configs/<config_name>.pbtxt` where a model
    has one. Response caching is off with 0 bytes.
    """

    repository: Path
    python: Path
    log_file: Path
    server_id: str
    config_name: str = "embedded"
    response_cache_bytes: int = 256 * 1024**2
    exit_timeout_s: int = 5
    otlp_endpoint: str | None = None
    """Where Triton sends its spans; None for nowhere."""
    extra_environment: Mapping[str, str] = field(default_factory=dict)


class TritonServer:
    """One embedded Triton, started without models; methods block and are safe in any thread."""

    def __init__(self, installation: TritonInstallation, options: TritonServerOptions) -> None:
        self._installation = installation
        self._options = options
        self._lock = threading.RLock()  # guards the group and its ports: one change at a time
        self._group: ProcessGroup | None = None
        self._ports = TritonPorts(0, 0, 0)

    @property
    def grpc_url(self) -> str:
        """host:port, as tritonclient wants it."""
        return f"{LOOPBACK}:{self._ports.grpc}"

    @property
    def http_url(self) -> str:
        """http://host:port."""
        return f"http://{LOOPBACK}:{self._ports.http}"

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus metrics."""
        return f"http://{LOOPBACK}:{self._ports.metrics}/metrics"

    @property
    def pid(self) -> int | None:
        """Process id of the server, also its group's number; None if it was never started."""
        return self._group.pid if self._group else None

    @property
    def returncode(self) -> int | None:
        """As in subprocess: None while it runs, negative for a signal."""
        return self._group.returncode if self._group else None

    def is_alive(self) -> bool:
        """Whether the server's process runs; says nothing of its models."""
        return self._group is not None and self._group.returncode is None

    def start(self, *, ports: TritonPorts | None = None, timeout_s: float = 30.0) -> None:
        """Start the server and wait until it answers under its own id; a running one is left alone.

        Takes `ports` if they are free, else others. Raises TritonSetupError when the server does
        not come up; no process is left then.
        """
        with self._lock:
            if self.is_alive():
                return
            self._kill()
            environment = self._environment()
            deadline = time.monotonic() + timeout_s
            self._ports = ports if ports and can_bind(ports) else _free_ports()
            for attempt in range(1, PORT_ATTEMPTS + 1):
                problem = self._try_start(environment, deadline)
                if problem is None:
                    return
                if "already in use" not in problem or attempt == PORT_ATTEMPTS:
                    log_file = self._options.log_file
                    raise TritonSetupError(f"Triton did not start: {problem} (log: {log_file})")
                self._ports = _free_ports()

    def stop(self) -> None:
        """Give requests in flight the exit timeout, then kill what is left; may be repeated."""
        with self._lock:
            if self._group and self.is_alive():
                self._group.terminate(self._options.exit_timeout_s + 2)
            self._kill()

    def restart(self) -> None:
        """Kill the server and start it, on the same ports if free; raises TritonSetupError."""
        with self._lock:
            self._kill()
            self.start(ports=self._ports if self._group else None)

    def _kill(self) -> None:
        if self._group:
            self._group.kill()
        sweep_stale_regions()

    def _try_start(self, environment: Mapping[str, str], deadline: float) -> str | None:
        """Start once; return None when the server is up, else what went wrong."""
        log_file = self._options.log_file
        log_offset = log_file.stat().st_size if log_file.exists() else 0
        try:
            self._group = ProcessGroup(
                self._command(),
                python=self._options.python,
                environment=environment,
                log_file=log_file,
                niceness=NICENESS,
            )
        except OSError as exc:
            raise TritonSetupError(f"Triton did not start: {exc}.") from exc
        if self._wait_until_up(deadline):
            logger.info("Triton runs: pid %d, gRPC on %s", self._group.pid, self.grpc_url)
            return None
        code = self._group.returncode
        self._kill()
        what = "it did not answer in time" if code is None else f"it ended with code {code}"
        return f"{what}: {_error_lines(log_file, log_offset)}"

    def _wait_until_up(self, deadline: float) -> bool:
        while self.is_alive() and time.monotonic() < deadline:
            if self._is_up():
                return True
            time.sleep(POLL_S)
        return False

    def _is_up(self) -> bool:
        """Whether all three ports answer, and it is this server that does."""
        if _server_name(self._ports.http) != self._options.server_id:
            return False
        return accepts(self._ports.grpc) and accepts(self._ports.metrics)

    def _command(self) -> list[str]:
        installation, options = self._installation, self._options
        command = [
            str(installation.executable),
            f"--id={options.server_id}",
            f"--model-repository={options.repository}",
            "--model-control-mode=explicit",
            "--disable-auto-complete-config",
            f"--model-config-name={options.config_name}",
            f"--backend-directory={installation.backend_directory}",
            f"--exit-timeout-secs={options.exit_timeout_s}",
        ]
        for service, port in self._ports._asdict().items():
            command += [f"--{service}-address={LOOPBACK}", f"--{service}-port={port}"]
        if installation.cache_directory and options.response_cache_bytes:
            command += [
                f"--cache-directory={installation.cache_directory}",
                f"--cache-config=local,size={options.response_cache_bytes}",
            ]
        if options.otlp_endpoint is not None:
            command += [
                "--trace-config=mode=opentelemetry",
                f"--trace-config=opentelemetry,url={options.otlp_endpoint.rstrip('/')}/v1/traces",
                "--trace-config=opentelemetry,resource=service.name=retouch-triton",
                "--trace-config=level=TIMESTAMPS",
                "--trace-config=rate=1",
            ]
        return command

    def _environment(self) -> dict[str, str]:
        """The stub runs the first python3 on PATH, with the first libpython the loader finds."""
        python = self._options.python.absolute()
        interpreter = inspect_interpreter(python)
        if self._installation.origin == "wheel":
            check_interpreter(interpreter)
            self._check_stub(interpreter)
        environment = {**os.environ, **self._options.extra_environment}
        _prepend(environment, "PATH", python.parent)
        with suppress(TritonSetupError):  # a local installation may find its libpython by itself
            _prepend(environment, "LD_LIBRARY_PATH", library_path(interpreter).parent)
        return environment

    def _check_stub(self, interpreter: Interpreter) -> None:
        stub_minor = self._installation.backend_directory.name
        if stub_minor != interpreter.minor:
            raise TritonSetupError(
                f"The stub was laid out for Python {stub_minor} and {interpreter.python} is "
                f"Python {interpreter.version}: find the installation for that interpreter."
            )


def _prepend(environment: dict[str, str], name: str, folder: Path) -> None:
    rest = environment.get(name)
    environment[name] = f"{folder}{os.pathsep}{rest}" if rest else str(folder)


def _free_ports() -> TritonPorts:
    return TritonPorts(*free_ports(len(TritonPorts._fields)))


def _server_name(port: int) -> str | None:
    """Return the name in the metadata of whatever listens on `port`, asked without any proxy."""
    connection = HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/v2")
        return str(json.loads(connection.getresponse().read())["name"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def _error_lines(log_file: Path, offset: int) -> str:
    """Return the last error lines, else the last lines, that the log got since `offset` bytes."""
    with log_file.open("rb") as file:
        file.seek(offset)
        text = file.read().decode(errors="replace")
    lines = [line.strip()[:400] for line in text.splitlines() if line.strip()]
    errors = [
        line for line in lines if re.match(r"[EF]\d{4} |error|\w*Error:", line, re.IGNORECASE)
    ]
    return " | ".join((errors or lines)[-3:]) or "nothing in the log"
