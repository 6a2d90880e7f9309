"""Which processes of a real Triton's models are missing."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import tritonclient.grpc as triton

from gateway.triton.model_processes import ModelProcesses, processes_of
from gateway.triton.triton_installation import find_installation
from gateway.triton.triton_server import TritonServer, TritonServerOptions

MODELS = Path(__file__).parent / "triton_models"


@pytest.fixture
def client(server: TritonServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc_url) as client:
        yield client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TritonServer]:
    """With two instances of a model."""
    repository = tmp_path / "models"
    shutil.copytree(MODELS, repository)
    config = repository / "identity" / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 2"))
    options = TritonServerOptions(
        repository=repository,
        python=Path(sys.executable),
        log_file=tmp_path / "triton.log",
        server_id=f"test-{uuid4()}",
    )
    server = TritonServer(find_installation(Path.home() / ".cache" / "retouch"), options)
    server.start()
    yield server
    server.stop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill(server: TritonServer, victims: set[int]) -> None:
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not victims & processes_of("identity", server.pid or 0))


def test_a_killed_instance_is_missed_until_its_model_is_loaded_anew(
    server: TritonServer, processes: ModelProcesses, client: triton.InferenceServerClient
) -> None:
    assert server.pid is not None
    first, second = processes_of("identity", server.pid)
    kill(server, {first})
    assert processes.bereaved(server.pid) == {"identity"}

    client.unload_model("identity")
    until(lambda: not processes_of("identity", server.pid or 0))
    assert processes.bereaved(server.pid) == set()
    client.load_model("identity")
    assert processes.bereaved(server.pid) == set()
    assert not processes_of("identity", server.pid) & {first, second}


@pytest.fixture
def processes(server: TritonServer, client: triton.InferenceServerClient) -> ModelProcesses:
    """That saw both instances."""
    client.load_model("identity")
    processes = ModelProcesses()
    assert processes.bereaved(server.pid or 0) == set()
    return processes


def test_a_model_without_any_process_is_left_to_its_canary(
    server: TritonServer, processes: ModelProcesses
) -> None:
    assert server.pid is not None
    kill(server, processes_of("identity", server.pid))
    assert processes.bereaved(server.pid) == set()


def test_a_model_that_is_forgotten_may_have_fewer_instances(
    server: TritonServer, processes: ModelProcesses
) -> None:
    assert server.pid is not None
    kill(server, {min(processes_of("identity", server.pid))})
    processes.forget("identity")
    assert processes.bereaved(server.pid) == set()
