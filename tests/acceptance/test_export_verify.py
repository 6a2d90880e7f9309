"""An ML engineer's way: a hub id that is in the cache, exported, served, verified; no network.

And one whose weights were corrupted.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from export_scripts.checkpoint import sha256
from export_scripts.cli import app
from export_scripts.demo import install_demo_segmenter
from export_scripts.demo_qwen import save_edit_checkpoint, save_generation_checkpoint
from export_scripts.plain_pipeline import load_pipeline
from export_scripts.promotion import serve_offline
from export_scripts.repository_skeleton import create_repository
from export_scripts.version_store import VersionStore
from tests.acceptance.served import Served
from tests.hub_snapshots import COMMIT, keep_as_snapshot

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own with freshly exported checkpoints of another seed."""
    folder = tmp_path_factory.mktemp("exported")
    target = folder / "model_repository"
    create_repository(target)
    install_demo_segmenter(target)
    save_generation_checkpoint(folder / "generation", seed=21)
    save_edit_checkpoint(folder / "edit", seed=21)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        for name, model in (("generation", "qwen_image"), ("edit", "qwen_image_edit")):
            keep_as_snapshot(folder / name, folder / "hub", f"owner/{name}")
            arguments = ["--source", f"owner/{name}", "--repository", str(target)]
            sizes = ["--size", "128", "--reference-size", "192"]
            done = CliRunner().invoke(app, ["qwen", *arguments, *sizes])
            assert done.exit_code == 0, done.output
            serve_offline(target, model, 1)
    shutil.rmtree(folder / "hub")
    return target


@pytest.fixture(scope="module")
def other_gateway(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    gateway = Served(tmp_path_factory.mktemp("other"), model_repository=exported)
    try:
        gateway.wait_ready()
        yield gateway
    finally:
        gateway.stop()


def verify(gateway: Served, repository: Path, *options: str) -> Result:
    load_pipeline.cache_clear()
    arguments = ["--triton", gateway.triton["grpc"], "--repository", str(repository), *options]
    return CliRunner().invoke(app, ["verify", *arguments])


def test_what_is_served_equals_plain_diffusers(other_gateway: Served, exported: Path) -> None:
    done = verify(other_gateway, exported, "--steps", "3")
    assert done.exit_code == 0, done.output
    assert done.output.count("ok") == 6


def test_the_manifest_names_the_commit_and_every_file(exported: Path) -> None:
    store = VersionStore(exported)
    manifest = store.manifest("qwen_image", 1)
    assert (manifest["source"], manifest["revision"]) == ("owner/generation", COMMIT)
    weights = store.folder("qwen_image_transformer", 1) / "weights"
    found = {path.name: sha256(path) for path in weights.iterdir()}
    assert found == manifest["files"]["transformer"]


def test_the_models_describe_themselves(other_gateway: Served) -> None:
    models = {m["id"]: m for m in other_gateway.http.get("/v1/models").json()["data"]}
    assert models["qwen_image"]["demo"] is False
    assert models["qwen_image"]["defaults"]["size"] == [128, 128]


def test_four_megapixels_are_painted(other_gateway: Served) -> None:
    """The limit itself, in one step; the VAE works in tiles."""
    accepted = other_gateway.submit(
        task="generate",
        prompt="a wide wall",
        size="4096x1024",
        num_inference_steps=1,
        true_cfg_scale=1,
        seed=1,
    )
    job = other_gateway.finish(accepted)
    for _ in range(4):  # each waits for most of a minute
        job = job if job["status"] != "running" else other_gateway.finish(accepted)
    assert job["status"] == "succeeded", job["error"]
    assert (job["output"][0]["width"], job["output"][0]["height"]) == (4096, 1024)


def test_one_corrupted_tensor_is_found(other_gateway: Served, exported: Path) -> None:
    weights = exported / "qwen_image_transformer" / "1" / "weights"
    file = next(weights.glob("*.safetensors"))
    tensors = load_file(file)
    name = next(key for key in tensors if key.endswith("proj_out.weight"))
    tensors[name] = tensors[name] + 0.5 * torch.randn_like(tensors[name])
    save_file(tensors, file, metadata={"format": "pt"})
    done = verify(other_gateway, exported, "--steps", "2", "--model", "qwen_image")
    assert done.exit_code == 1
    assert "off" in done.output
