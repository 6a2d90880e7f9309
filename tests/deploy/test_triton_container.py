"""The Triton image's scripts, run as its entry point and its probe, on the embedded Triton."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.settings import Settings
from gateway.triton.loopback_ports import free_ports
from gateway.triton.process_group import group_members
from gateway.triton.stub_environment import inspect_interpreter, library_path
from gateway.triton.triton_installation import find_installation
from tests.acceptance.served import eventually

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "deploy" / "triton"
MODELS = ROOT / "tests" / "gateway" / "triton" / "triton_models"


def volume(folder: Path, model: str) -> Path:
    """Weights of one Python model, as `retouch-export` leaves them: no code of the server's."""
    version = folder / model / "3"
    version.mkdir(parents=True)
    (version / "weights").mkdir()
    (version / "weights" / "numbers").write_text("1")
    (version / "model.py").write_text("raise RuntimeError('code of another release')")
    return folder


def image_code(folder: Path, model: str) -> Path:
    """A model repository as the image has it."""
    (folder / "qwen_serving").mkdir(parents=True)
    (folder / model / "1").mkdir(parents=True)
    config = (MODELS / "identity" / "config.pbtxt").read_text().replace("identity", model)
    (folder / model / "config.pbtxt").write_text(config)
    code = (MODELS / "identity" / "1" / "model.py").read_text()
    (folder / model / "model.py").write_text(code)
    return folder


@dataclass(frozen=True)
class Container:
    model: str
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def probe(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPTS / "alive.py"), "--url", self.url, *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def stub(self) -> int:
        for pid in group_members(self.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"stub" in words.split(b"\0")[0] and f"/{self.model}/".encode() in words:
                return pid
        raise AssertionError("no stub runs")


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """`serve.sh`, with the paths that the image has moved into a folder."""
    model = f"identity_{uuid4().hex[:8]}"
    installation = find_installation(Settings().triton_cache)
    grpc, http, metrics = free_ports(3)
    environment = os.environ | {
        "MODEL_CODE": str(image_code(tmp_path / "code", model)),
        "MODEL_WEIGHTS": str(volume(tmp_path / "models", model)),
        "RETOUCH_MODEL_REPOSITORY": str(tmp_path / "repository"),
        "TRITON_MODELS": model,
        "TRITON_EXIT_TIMEOUT_S": "3",
        "PATH": f"{Path(sys.executable).parent}:{installation.executable.parent}:/usr/bin:/bin",
        "LD_LIBRARY_PATH": str(library_path(inspect_interpreter(Path(sys.executable))).parent),
    }
    command = [
        str(SCRIPTS / "serve.sh"),
        f"--backend-directory={installation.backend_directory}",
        *(f"--{name}-address=127.0.0.1" for name in ("grpc", "http", "metrics")),
        f"--grpc-port={grpc}",
        f"--http-port={http}",
        f"--metrics-port={metrics}",
    ]
    log = tmp_path / "triton.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Container(model, process, f"http://127.0.0.1:{http}", log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def test_the_probe_tells_a_dead_model_process_and_ends_that_server(
    container: Container, tmp_path: Path
) -> None:
    assert container.probe().returncode == 1, "nothing answers yet"
    eventually(
        lambda: container.probe("--ready").returncode == 0,
        timeout_s=60,
        say=container.log.read_text,
    )
    os.kill(container.stub(), signal.SIGKILL)
    eventually(lambda: container.probe("--ready").returncode == 1, timeout_s=10)
    assert container.model in container.probe().stderr
    assert container.process.poll() is None, "without --end-server it only tells"
    namesake = shutil.copy(shutil.which("sleep") or "", tmp_path / "tritonserver")
    with subprocess.Popen([namesake, "60"]) as other:
        container.probe("--end-server")
        container.process.wait(30)
        assert other.poll() is None, "only the server that was asked ends"
        other.kill()


def test_what_is_served_is_the_images_code_with_the_volumes_weights(tmp_path: Path) -> None:
    model = "identity"
    code, weights = image_code(tmp_path / "code", model), volume(tmp_path / "models", model)
    served = tmp_path / "repository"
    environment = os.environ | {
        "MODEL_CODE": str(code),
        "MODEL_WEIGHTS": str(weights),
        "RETOUCH_MODEL_REPOSITORY": str(served),
    }
    for _ in range(2):  # a container that restarts lays out over what it left
        subprocess.run([SCRIPTS / "lay_out.sh"], env=environment, check=True)
    version = served / model / "3"
    assert "another release" not in (version / "model.py").read_text()
    assert (version / "weights" / "numbers").read_text() == "1"
    assert (version / "weights").is_symlink(), "weights are not copied"
    assert (served / model / "config.pbtxt").read_text() == (
        code / model / "config.pbtxt"
    ).read_text()
    (weights / model / "config.pbtxt").write_text("# edited by the operator")
    (weights / "exported" / "1").mkdir(parents=True)
    (weights / "exported" / "config.pbtxt").write_text("# made by an export")
    (weights / "exported" / "1" / "model.py").write_text("# its own")
    subprocess.run([SCRIPTS / "lay_out.sh"], env=environment, check=True)
    assert "operator" in (served / model / "config.pbtxt").read_text()
    assert (served / "exported" / "1" / "model.py").read_text() == "# its own"
    assert not (served / "exported" / "1" / "model.py").is_symlink()


def test_what_the_volume_no_longer_has_is_not_served_after_a_restart(tmp_path: Path) -> None:
    code, weights = (
        image_code(tmp_path / "code", "identity"),
        volume(tmp_path / "models", "identity"),
    )
    (weights / "identity" / "4").mkdir()
    (weights / "identity" / "4" / "weights").write_text("2")
    (weights / "exported" / "1").mkdir(parents=True)
    (weights / "exported" / "config.pbtxt").write_text("# made by an export")
    served = tmp_path / "repository"
    environment = os.environ | {
        "MODEL_CODE": str(code),
        "MODEL_WEIGHTS": str(weights),
        "RETOUCH_MODEL_REPOSITORY": str(served),
    }
    subprocess.run([SCRIPTS / "lay_out.sh"], env=environment, check=True)
    assert (served / "identity" / "4").is_dir()
    shutil.rmtree(weights / "identity" / "4")  # an operator goes back to version 3
    shutil.rmtree(weights / "exported")
    subprocess.run([SCRIPTS / "lay_out.sh"], env=environment, check=True)
    assert (served / "identity" / "3" / "weights" / "numbers").read_text() == "1"
    assert not (served / "identity" / "4").exists()
    assert not (served / "exported").exists()


def test_a_model_that_nobody_exported_is_left_out(tmp_path: Path) -> None:
    """A new volume holds the checkout's code, `fastsam/1/model.py` with it."""
    code, weights = image_code(tmp_path / "code", "identity"), volume(tmp_path / "models", "other")
    (weights / "identity" / "1" / "__pycache__").mkdir(parents=True)
    (weights / "identity" / "1" / "model.py").write_text("# needs weights beside it")
    environment = os.environ | {
        "MODEL_CODE": str(code),
        "MODEL_WEIGHTS": str(weights),
        "RETOUCH_MODEL_REPOSITORY": str(tmp_path / "repository"),
        "TRITON_MODELS": "identity",
    }
    done = subprocess.run(
        [SCRIPTS / "serve.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert "no weights of identity" in done.stderr
    assert done.returncode == 1, "there is nothing else to serve"
    (weights / "identity" / "1" / "model.onnx").write_text("a graph")
    subprocess.run([SCRIPTS / "lay_out.sh"], env=environment, check=True)
    assert (tmp_path / "repository" / "identity" / "1" / "model.onnx").is_symlink()


@pytest.mark.parametrize("folder", ["models", "code"])
def test_a_layout_over_the_volume_or_the_code_is_refused(tmp_path: Path, folder: str) -> None:
    environment = os.environ | {
        "MODEL_CODE": str(image_code(tmp_path / "code", "identity")),
        "MODEL_WEIGHTS": str(volume(tmp_path / "models", "identity")),
        "RETOUCH_MODEL_REPOSITORY": str(tmp_path / folder),
    }
    done = subprocess.run(
        [SCRIPTS / "lay_out.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "a folder of its own" in done.stderr
    assert (tmp_path / "models" / "identity" / "3" / "weights" / "numbers").exists()
    assert (tmp_path / "code" / "identity" / "config.pbtxt").exists()


def test_an_empty_volume_is_told_and_ends_the_start(tmp_path: Path) -> None:
    environment = os.environ | {
        "MODEL_CODE": str(image_code(tmp_path / "code", "identity")),
        "MODEL_WEIGHTS": str(tmp_path / "nothing"),
        "RETOUCH_MODEL_REPOSITORY": str(tmp_path / "repository"),
    }
    done = subprocess.run(
        [SCRIPTS / "serve.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "export some first" in done.stderr


def test_gpu_requirements_are_the_models_extra_with_the_gpu_runtime() -> None:
    command = [sys.executable, SCRIPTS / "gpu_requirements.py", ROOT / "pyproject.toml"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    names = [line.split("=")[0].split(">")[0] for line in lines]
    assert "onnxruntime-gpu" in names
    assert "onnxruntime" not in names
    assert {"torch", "diffusers", "transformers", "peft", "torchao"} <= set(names)
    pinned = (ROOT / "constraints.txt").read_text()
    assert all(f"\n{name}==" in pinned for name in names), "an unpinned package in the image"


def test_the_image_serves_every_model_unless_told_otherwise() -> None:
    text = (SCRIPTS / "serve.sh").read_text()
    served = re.search(r"TRITON_MODELS:-([^}]+)}", text)
    assert served is not None
    folders = (ROOT / "model_repository").glob("*/config.pbtxt")
    made_by_exports = {"clip_text", "clip_image", "lama"}
    models = set(served[1].split())
    assert models - made_by_exports == {folder.parent.name for folder in folders}
