"""Models for masks that come while the server runs: another FastSAM, and CLIP for texts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_scripts.clip_export import export_clip
from export_scripts.demo import SEGMENTER
from export_scripts.demo_checkpoint import network_of
from export_scripts.demo_scenes import HELD_OUT_SEEDS, draw_scene
from export_scripts.demo_segmenter import save
from export_scripts.fastsam_export import export_fastsam
from export_scripts.triton_control import TritonControl
from preprocessing.codec import encode_png
from tests.acceptance.served import Served, eventually
from tests.tiny_clip import save_tiny_clip

SCENE = encode_png(draw_scene(HELD_OUT_SEEDS[3], 384).image)


@pytest.fixture(scope="module")
def own_repository(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("own") / "repository"
    return Path(shutil.copytree(repository, target, ignore=shutil.ignore_patterns("clip_*")))


@pytest.fixture(scope="module")
def own_gateway(own_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    gateway = Served(
        tmp_path_factory.mktemp("data"), canary_interval_s=0.3, model_repository=own_repository
    )
    try:
        gateway.wait_ready()
        yield gateway
    finally:
        gateway.stop()


def ask(gateway: Served, **request: object) -> dict:
    body = {"image": gateway.upload(SCENE), "output": "rle", **request}
    answer = gateway.http.post("/v1/masks", json=body)
    return {"status": answer.status_code, **answer.json()}


def test_another_network_takes_over_and_sees_pictures_anew(
    own_gateway: Served, own_repository: Path, tmp_path: Path
) -> None:
    assert ask(own_gateway, everything=True)["status"] == 200
    assert ask(own_gateway, everything=True)["cached"]
    save(network_of(SEGMENTER), tmp_path / "again.pt", 256)
    exported = export_fastsam(str(tmp_path / "again.pt"), own_repository, image_size=256)
    assert exported.version == 2
    control = TritonControl(own_gateway.triton["grpc"])
    control.load("fastsam")
    control.close()
    eventually(lambda: not ask(own_gateway, everything=True)["cached"], timeout_s=20)
    after = ask(own_gateway, everything=True)
    assert (after["status"], after["cached"]) == (200, True)
    assert after["masks"]


def test_texts_work_as_soon_as_there_is_a_clip(
    own_gateway: Served, own_repository: Path, tmp_path: Path
) -> None:
    text = [{"text": "the red cup"}]
    refused = ask(own_gateway, prompts=text)
    assert (refused["status"], refused["code"]) == (400, "text_prompts_absent")
    save_tiny_clip(tmp_path)
    export_clip(str(tmp_path), own_repository)
    eventually(lambda: ask(own_gateway, prompts=text)["status"] == 200, timeout_s=60)
    own_gateway.wait_ready()
    everything = ask(own_gateway, everything=True)["masks"]
    found = ask(own_gateway, prompts=text, multimask=True)["masks"]
    assert {mask["mask_id"] for mask in found} <= {mask["mask_id"] for mask in everything}
    scores = [mask["score"] for mask in found]
    assert scores == sorted(scores, reverse=True)
    again = ask(own_gateway, prompts=text)["masks"][0]
    assert again["mask_id"] == found[0]["mask_id"]
    assert len(again["alternatives"]) == min(10, len(found) - 1)
