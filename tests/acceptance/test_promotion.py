"""An operator's way: a new version beside the one that serves, proven, swapped in, rolled back."""

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from export_scripts.cli import app
from export_scripts.demo import install_demo_segmenter
from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
from export_scripts.plain_pipeline import load_pipeline
from export_scripts.repository_skeleton import create_repository
from export_scripts.version_store import VersionStore
from preprocessing import codec
from tests.acceptance.served import Served, eventually

pytestmark = pytest.mark.timeout(300)
JOB: dict[str, Any] = {
    "task": "generate",
    "prompt": "a boat",
    "seed": 5,
    "size": "128x128",
    "num_inference_steps": 3,
    "true_cfg_scale": 1.0,
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with version 1 of both models, neither promoted."""
    folder = tmp_path_factory.mktemp("promotion")
    repository = folder / "model_repository"
    create_repository(repository)
    install_demo_segmenter(repository)
    save_generation_checkpoint(folder / "generation", seed=31)
    save_edit_checkpoint(folder / "edit", seed=31)
    for name in ("generation", "edit"):
        export(repository, folder / name)
    return repository


@pytest.fixture(scope="module")
def running(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that started on the empty repository and got its first versions by promotion."""
    served = Served(
        tmp_path_factory.mktemp("served"), model_repository=exported, canary_interval_s=0.5
    )
    try:
        eventually(lambda: "fastsam" in ready_models(served), timeout_s=60)
        assert VersionStore(exported).served("qwen_image") == []
        for model in ("qwen_image", "qwen_image_edit"):
            done = run("promote", exported, served, model=model)
            assert done.exit_code == 0, done.output
        served.wait_ready()
        yield served
    finally:
        served.stop()


def ready_models(served: Served) -> list[str]:
    """Models that answered their last canary."""
    try:
        models = served.http.get("/health/ready").json()["models"]
    except httpx.TransportError:
        return []
    return [name for name, health in models.items() if health["ready"]]


def export(repository: Path, checkpoint: Path) -> None:
    arguments = ["--source", str(checkpoint), "--repository", str(repository)]
    options = ["--size", "128", "--reference-size", "128", "--onnx", "vae"]
    done = CliRunner().invoke(app, ["qwen", *arguments, *options])
    assert done.exit_code == 0, done.output


def command(name: str, repository: Path, gateway: Served, *, model: str) -> list[str]:
    arguments = ["--model", model, "--repository", str(repository)]
    return [name, *arguments, "--triton", gateway.triton["grpc"]]


def run(name: str, repository: Path, gateway: Served, *, model: str = "qwen_image") -> Result:
    return CliRunner().invoke(app, command(name, repository, gateway, model=model))


def picture_of(gateway: Served, job: dict[str, Any]) -> np.ndarray:
    assert job["status"] == "succeeded", job
    content = gateway.http.get(job["output"][0]["url"]).content
    return codec.decode_image(content).pixels.astype(int)


def plain(repository: Path, version: int, job: dict[str, Any] = JOB) -> np.ndarray:
    pipeline = load_pipeline(repository, "qwen_image", version)
    image = pipeline(
        prompt=job["prompt"],
        true_cfg_scale=1.0,
        width=128,
        height=128,
        num_inference_steps=job["num_inference_steps"],
        generator=torch.Generator("cpu").manual_seed(job["seed"]),
        output_type="np",
    ).images[0]
    return (image * 255).round().astype(int)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a - b).max())


class Load:
    """Clients that send one job after the other until they are told to stop."""

    def __init__(self, gateway: Served, clients: int) -> None:
        self.ended: list[dict[str, Any]] = []
        self._gateway = gateway
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while not self._stop.is_set():
            self.ended.append(self._gateway.finish(self._gateway.submit(**JOB)))
            time.sleep(0.2)


def test_a_new_version_takes_over_under_load_and_no_job_is_lost(
    running: Served, exported: Path, tmp_path: Path
) -> None:
    save_generation_checkpoint(tmp_path / "newer", seed=32)
    export(exported, tmp_path / "newer")
    before, after = plain(exported, 1), plain(exported, 2)
    assert difference(before, after) > 8, "the two versions must paint differently"
    long_job = {**JOB, "num_inference_steps": 100}
    with Load(running, clients=2) as load:
        eventually(lambda: len(load.ended) >= 3, timeout_s=60)
        old = running.submit(**long_job)
        done = run("promote", exported, running)
        assert done.exit_code == 0, done.output
        ended_before = len(load.ended)
        eventually(lambda: len(load.ended) >= ended_before + 6, timeout_s=60)
    pictures = [picture_of(running, job) for job in load.ended]
    versions = [1 if difference(picture, before) <= 1 else 2 for picture in pictures]
    assert all(difference(p, before) <= 1 or difference(p, after) <= 1 for p in pictures)
    assert versions[0] == 1
    assert versions[-1] == 2
    slow = picture_of(running, running.finish(old))
    assert min(difference(slow, plain(exported, v, long_job)) for v in (1, 2)) <= 1
    assert len(re.findall(r"\bok\b", done.output)) == 3
    took = re.search(r"took over in (\d+\.\d) s", done.output)
    assert took is not None
    assert float(took[1]) < 5
    store = VersionStore(exported)
    assert store.served("qwen_image") == [2]
    assert store.served("qwen_image_transformer") == [2]
    assert store.served("qwen_text_encoder") == [1, 2], "the edit model calls version 1"


def test_the_other_model_was_left_alone(running: Served, exported: Path) -> None:
    log = (running.data_dir / "logs" / "triton.log").read_text()
    loads = re.findall(r"successfully loaded 'qwen_image_edit_transformer'", log)
    assert len(loads) == 1
    assert VersionStore(exported).served("qwen_image_edit") == [1]


def test_a_rollback_brings_the_old_pictures_back(running: Served, exported: Path) -> None:
    done = run("rollback", exported, running)
    assert done.exit_code == 0, done.output
    assert VersionStore(exported).served("qwen_image") == [3]
    picture = picture_of(running, running.finish(running.submit(**JOB)))
    assert difference(picture, plain(exported, 1)) <= 1


def test_a_version_that_is_off_is_not_promoted(
    running: Served, exported: Path, tmp_path: Path
) -> None:
    save_generation_checkpoint(tmp_path / "corrupt", seed=33)
    export(exported, tmp_path / "corrupt")
    store = VersionStore(exported)
    broken = store.newest("qwen_image")
    assert broken is not None
    corrupt_after_loading(store, dict(store.stages("qwen_image", broken)))
    before = store.served("qwen_image"), store.served("qwen_image_transformer")
    done = run("promote", exported, running)
    assert done.exit_code == 1
    assert "misses its tolerance" in done.stderr
    assert (store.served("qwen_image"), store.served("qwen_image_transformer")) == before
    assert not (exported / "qwen_image_candidate").exists()
    picture = picture_of(running, running.finish(running.submit(**JOB)))
    assert difference(picture, plain(exported, 1)) <= 1


def corrupt_after_loading(store: VersionStore, stages: dict[str, int]) -> None:
    """One tensor of what is served is not what was exported; the plain pipeline has it right."""
    version = stages["qwen_image_transformer"]
    folder = store.folder("qwen_image_transformer", version)
    model = store.newest("qwen_image")
    assert model is not None
    load_pipeline(store.repository, "qwen_image", model, device="cpu", inpaint=False, adapter=None)
    load_pipeline(store.repository, "qwen_image", model, device="cpu", inpaint=True, adapter=None)
    (file,) = (folder / "weights").glob("*.safetensors")
    tensors = load_file(file)
    name = next(key for key in tensors if key.endswith("proj_out.weight"))
    tensors[name] = tensors[name] + 0.5 * torch.randn_like(tensors[name])
    save_file(tensors, file, metadata={"format": "pt"})


def test_a_promotion_that_is_killed_changes_nothing_and_the_next_one_works(
    running: Served, exported: Path, tmp_path: Path
) -> None:
    save_generation_checkpoint(tmp_path / "again", seed=34)
    export(exported, tmp_path / "again")
    store = VersionStore(exported)
    wanted = store.newest("qwen_image")
    killed = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "export_scripts.cli",
            *command("promote", exported, running, model="qwen_image"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    eventually((exported / "qwen_image_candidate").exists, timeout_s=60)
    time.sleep(0.5)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    picture = picture_of(running, running.finish(running.submit(**JOB)))
    assert difference(picture, plain(exported, 1)) <= 1
    done = run("promote", exported, running)
    assert done.exit_code == 0, done.output
    assert store.served("qwen_image") == [wanted]
    assert not (exported / "qwen_image_candidate").exists()
    picture = picture_of(running, running.finish(running.submit(**JOB)))
    assert difference(picture, plain(exported, wanted)) <= 1


def test_a_version_that_is_not_there_is_said(running: Served, exported: Path) -> None:
    arguments = [*command("promote", exported, running, model="qwen_image"), "--version", "99"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "has no version 99" in done.stderr


def test_pruning_frees_what_is_not_served(running: Served, exported: Path) -> None:
    done = CliRunner().invoke(app, ["prune", "--repository", str(exported), "--keep", "0"])
    assert done.exit_code == 0
    assert not list((exported / ".versions").glob("*/[0-9]*"))
    picture_of(running, running.finish(running.submit(**JOB)))


def test_the_list_shows_what_is_served(exported: Path) -> None:
    done = CliRunner().invoke(app, ["versions", "--repository", str(exported)], terminal_width=200)
    assert done.exit_code == 0
    assert re.search(r"qwen_image_edit .* 1 .* served", done.output)


def test_a_copy_serves_the_same(exported: Path, tmp_path: Path) -> None:
    """What is served stands in the folders alone."""
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    for model in ("qwen_image", "qwen_image_edit"):
        assert VersionStore(copy).served(model) == VersionStore(exported).served(model)
