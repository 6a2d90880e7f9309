"""The embedded Triton's life: real servers, real signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.errors import TritonSetupError
from gateway.process.processor_turns import NICENESS
from gateway.triton.loopback_ports import free_ports
from gateway.triton.process_group import group_members
from gateway.triton.shared_memory_sweep import sweep_stale_regions
from gateway.triton.triton_installation import TritonInstallation, find_installation
from gateway.triton.triton_server import TritonPorts, TritonServer, TritonServerOptions
from tests.gateway.identity_model import (
    ask,
    infer,
    load_identity,
    name_of,
    regions_of,
    regions_on_disk,
)

MODELS = Path(__file__).parent / "triton_models"
MakeServer = Callable[..., TritonServer]


@pytest.fixture(scope="module")
def installation() -> TritonInstallation:
    return find_installation(Path.home() / ".cache" / "retouch")


@pytest.fixture
def make_server(installation: TritonInstallation, tmp_path: Path) -> Iterator[MakeServer]:
    made = []

    def make(
        executable: Path | None = None, backend_directory: Path | None = None, **options: Any
    ) -> TritonServer:
        defaults = TritonServerOptions(
            repository=MODELS,
            python=Path(sys.executable),
            log_file=tmp_path / "logs" / "triton.log",
            server_id=f"test-{uuid4()}",
        )
        where = replace(
            installation,
            executable=executable or installation.executable,
            backend_directory=backend_directory or installation.backend_directory,
        )
        made.append(TritonServer(where, replace(defaults, **options)))
        return made[-1]

    yield make
    for server in made:
        server.stop()


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def script(folder: Path, text: str) -> Path:
    executable = folder / "tritonserver"
    executable.write_text(text)
    executable.chmod(0o755)
    return executable


def test_a_started_server_answers_under_its_own_id(make_server: MakeServer) -> None:
    server = make_server(server_id="our-own")
    assert (server.pid, server.returncode, server.is_alive()) == (None, None, False)
    server.start()
    assert server.is_alive()
    assert server.returncode is None
    assert name_of(server) == "our-own"
    assert server.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, server.pid) >= NICENESS
    assert ask(f"{server.http_url}/v2/health/live") is None
    with urllib.request.urlopen(server.metrics_url, timeout=5) as metrics:  # noqa: S310
        assert b"nv_cpu_utilization" in metrics.read()
    host, port = server.grpc_url.split(":")
    socket.create_connection((host, int(port)), timeout=1).close()


def test_starting_twice_keeps_the_server(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid


def test_a_model_runs_in_the_given_environment(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    load_identity(server)
    assert infer(server, [1.5, -2.0]) == [1.5, -2.0]


def test_stop_leaves_no_process_and_no_region(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    load_identity(server)
    assert server.pid is not None
    regions = regions_of(server.pid)
    assert len(group_members(server.pid)) == 3  # server, watcher, stub
    assert regions

    server.stop()

    assert group_members(server.pid) == []
    assert not regions & regions_on_disk()
    assert server.returncode == 0
    assert not server.is_alive()
    server.stop()


def test_a_server_that_ignores_sigterm_is_killed(make_server: MakeServer) -> None:
    server = make_server(exit_timeout_s=0)
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert server.returncode == -signal.SIGKILL
    assert group_members(server.pid) == []


def test_restart_after_a_kill_takes_the_same_ports(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    load_identity(server)
    old_pid, old_url = server.pid, server.grpc_url
    assert old_pid is not None
    old_regions = regions_of(old_pid)
    infer(server, [1.0])
    os.kill(old_pid, signal.SIGKILL)
    assert wait_until(lambda: not server.is_alive(), 3)
    assert server.returncode == -signal.SIGKILL

    server.restart()

    assert server.grpc_url == old_url
    assert server.pid != old_pid
    assert group_members(old_pid) == []
    assert not old_regions & regions_on_disk()
    load_identity(server)
    assert infer(server, [4.0]) == [4.0]


def test_restart_moves_when_a_port_was_taken(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    port = int(server.http_url.rpartition(":")[2])
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        server.restart()
        assert server.http_url != f"http://127.0.0.1:{port}"
        assert server.is_alive()


def test_a_taken_port_is_survived(make_server: MakeServer) -> None:
    first, second = make_server(server_id="first"), make_server(server_id="second")
    ports = TritonPorts(*free_ports(3))
    first.start(ports=ports)
    assert first.grpc_url == f"127.0.0.1:{ports.grpc}"
    second.start(ports=ports)
    assert (name_of(first), name_of(second)) == ("first", "second")


def test_a_port_lost_between_choice_and_use_is_survived(
    make_server: MakeServer, installation: TritonInstallation, tmp_path: Path
) -> None:
    loser = f"""#!/bin/sh
[ -e {tmp_path}/lost ] && exec {installation.executable} "$@"
touch {tmp_path}/lost
echo "E1123 22:48:51.708047 6871 main.cc:257] Socket '127.0.0.1:1' already in use"
exit 1
"""
    server = make_server(executable=script(tmp_path, loser))
    server.start()
    assert name_of(server).startswith("test-")


def test_a_strangers_server_is_not_taken_for_ours(make_server: MakeServer, tmp_path: Path) -> None:
    stranger = f"""#!{sys.executable}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{{"name": "a stranger"}}')
port = next(int(flag.split("=")[1]) for flag in sys.argv if flag.startswith("--http-port="))
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
    server = make_server(executable=script(tmp_path, stranger))
    with pytest.raises(TritonSetupError, match=r"did not answer in time: .*GET /v2"):
        server.start(timeout_s=2)
    assert server.pid is not None
    assert group_members(server.pid) == []


def test_a_failed_start_quotes_the_log(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(repository=tmp_path / "nowhere")
    with pytest.raises(TritonSetupError, match=r"ended with code 1: .*failed to stat.*triton\.log"):
        server.start()
    assert not server.is_alive()
    assert server.pid is not None
    assert group_members(server.pid) == []


def test_an_executable_that_does_not_run_is_named(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(executable=tmp_path / "tritonserver")
    with pytest.raises(TritonSetupError, match="FileNotFoundError"):
        server.start()


def test_numpy_2_is_refused_before_anything_starts(make_server: MakeServer, tmp_path: Path) -> None:
    says = {
        "version": "3.11.7",
        "base_prefix": "/usr",
        "numpy": "2.4.6",
        "library": "/usr/lib/libpython3.11.so.1.0",
        "library_version": "3.11.7",
    }
    python = script(tmp_path, f"#!/bin/sh\necho '{json.dumps(says)}'\n")
    server = make_server(python=python)
    with pytest.raises(TritonSetupError, match=r"numpy 2\.4\.6"):
        server.start()
    assert server.pid is None


def test_a_stub_for_another_python_is_refused(
    installation: TritonInstallation, make_server: MakeServer
) -> None:
    other = installation.backend_directory.with_name("3.8")
    server = make_server(backend_directory=other)
    with pytest.raises(TritonSetupError, match=r"for Python 3\.8 and .* is Python 3\."):
        server.start()


def test_the_server_outlives_the_thread_that_started_it(make_server: MakeServer) -> None:
    server = make_server()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert server.is_alive()
    assert name_of(server).startswith("test-")


def test_a_killed_gateway_takes_the_server_down(tmp_path: Path) -> None:
    program = f"""
import sys, time, urllib.request
from pathlib import Path
from gateway.triton.triton_installation import find_installation
from gateway.triton.triton_server import TritonServer, TritonServerOptions
options = TritonServerOptions(repository=Path({str(MODELS)!r}), python=Path(sys.executable),
    log_file=Path({str(tmp_path / "triton.log")!r}), server_id="orphan")
server = TritonServer(find_installation(Path.home() / ".cache" / "retouch"), options)
server.start()
load = server.http_url + "/v2/repository/models/identity/load"
urllib.request.urlopen(urllib.request.Request(load, data=b"{{}}")).read()
print(server.pid, flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        group = int(gateway.stdout.readline())
        assert len(group_members(group)) == 3
        gateway.kill()
    assert wait_until(lambda: not group_members(group), 3)
    sweep_stale_regions()
