"""The 2.x line from a checkpoint on disk to pictures: one network that generates and edits."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from export_scripts.cli import app
from export_scripts.demo import install_demo_segmenter
from export_scripts.demo_single_stream import save_single_stream_checkpoint
from export_scripts.plain_pipeline import load_pipeline
from export_scripts.promotion import serve_offline
from export_scripts.repository_skeleton import create_repository
from export_scripts.version_store import VersionStore
from tests.acceptance.served import Served

pytestmark = pytest.mark.timeout(300)
MODELS = ("qwen_image", "qwen_image_edit")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single_stream")
    repository = folder / "model_repository"
    create_repository(repository)
    install_demo_segmenter(repository)
    save_single_stream_checkpoint(folder / "checkpoint", seed=5)
    for model in MODELS:
        arguments = ["--source", str(folder / "checkpoint"), "--repository", str(repository)]
        sizes = ["--size", "128", "--reference-size", "128", "--warm-up", "64x96"]
        done = CliRunner().invoke(app, ["qwen", "--model", model, *arguments, *sizes])
        assert done.exit_code == 0, done.output
        serve_offline(repository, model, 1)
    return repository


@pytest.fixture(scope="module")
def running(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"), model_repository=exported)
    try:
        served.wait_ready()
        yield served
    finally:
        served.stop()


def picture(gateway: Served, job: dict[str, object]) -> np.ndarray:
    ended = gateway.finish(job)
    assert ended["status"] == "succeeded", ended["error"]
    png = gateway.http.get(ended["urls"]["result"]).content
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_both_models_share_one_network(exported: Path) -> None:
    store = VersionStore(exported)
    assert store.stages("qwen_image", 1) == store.stages("qwen_image_edit", 1)
    assert store.served("qwen_image_edit_transformer") == []


def test_what_is_served_equals_plain_diffusers(running: Served, exported: Path) -> None:
    load_pipeline.cache_clear()
    where = ["--triton", running.triton["grpc"], "--repository", str(exported)]
    done = CliRunner().invoke(app, ["verify", *where, "--steps", "3"])
    assert done.exit_code == 0, done.output
    assert done.output.count("ok") == 2 + 3, "no case of inpainting: the line has no pipeline"


def test_a_picture_does_not_depend_on_its_batch_mates(running: Served) -> None:
    order = {"task": "generate", "size": "64x64", "num_inference_steps": 6}
    prompts = ["a cup", "an elephant in a long corridor of mirrors", "a jug", "a cap"]
    alone = [
        picture(running, running.submit(**order, prompt=prompt, seed=seed))
        for seed, prompt in enumerate(prompts)
    ]
    jobs = [
        running.submit(**order, prompt=prompt, seed=seed) for seed, prompt in enumerate(prompts)
    ]
    for job, before in zip(jobs, alone, strict=True):
        assert np.abs(picture(running, job) - before).max() <= 1
    same_noise = picture(running, running.submit(**order, prompt="a whale", seed=0))
    assert np.abs(same_noise - alone[0]).max() > 1, "the prompt must matter"


def test_a_size_that_the_line_does_not_paint_is_refused(running: Served) -> None:
    answer = running.http.post(
        "/v1/jobs", json={"task": "generate", "prompt": "a cup", "size": "64x80"}
    )
    assert answer.status_code == 400
    assert "multiples of 32" in answer.json()["detail"]


def test_what_it_cannot_do_is_said(running: Served) -> None:
    image = io.BytesIO()
    Image.new("RGB", (64, 64), "navy").save(image, "PNG")
    mask = io.BytesIO()
    Image.fromarray(np.pad(np.full((32, 32), 255, np.uint8), 16)).save(mask, "PNG")
    job = running.submit(
        task="inpaint",
        prompt="a cup",
        image=running.upload(image.getvalue()),
        mask=running.upload(mask.getvalue()),
    )
    ended = running.finish(job)
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "invalid_request"
    assert "paints no masks" in ended["error"]["message"]
