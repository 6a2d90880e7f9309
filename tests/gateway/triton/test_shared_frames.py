"""Frames through shared memory to a real Triton: the same answers, and nothing left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from export_scripts.demo_scenes import draw_scene
from gateway.errors import InferenceError
from gateway.inference import SegmentationOutput
from gateway.settings import Settings
from gateway.triton.triton_installation import find_installation
from gateway.triton.triton_masks import TritonMaskModels
from gateway.triton.triton_server import TritonServer, TritonServerOptions


@pytest.fixture(scope="module")
def triton_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Triton of its own with FastSAM alone."""
    settings = Settings()
    options = TritonServerOptions(
        repository=settings.model_repository,
        python=settings.models_python,
        log_file=tmp_path_factory.mktemp("triton") / "triton.log",
        server_id=f"shared-frames-{os.getpid()}",
    )
    server = TritonServer(
        find_installation(settings.triton_cache, python=settings.models_python), options
    )
    server.start(timeout_s=90)
    try:
        with triton.InferenceServerClient(server.grpc_url) as client:
            client.load_model("fastsam")
        yield server.grpc_url
    finally:
        server.stop()


@pytest.fixture
def both(triton_url: str) -> Iterator[tuple[TritonMaskModels, TritonMaskModels]]:
    """By shared memory and by gRPC."""
    models = [
        TritonMaskModels(triton.InferenceServerClient(triton_url), timeout_s=30, shared_slots=slots)
        for slots in (3, 0)
    ]
    yield models[0], models[1]
    for one in models:
        one.close()


def frame(seed: int, height: int = 320, width: int = 320) -> np.ndarray:
    return np.ascontiguousarray(draw_scene(seed, 640).image[:height, :width])


def regions() -> set[Path]:
    return set(Path("/dev/shm").glob("*retouch_*"))  # noqa: S108


def test_the_answers_are_those_of_grpc(both: tuple[TritonMaskModels, TritonMaskModels]) -> None:
    for number, shape in enumerate([(320, 320), (192, 320), (640, 512), (320, 320)]):
        shared, plain = (models.segment(frame(number, *shape)) for models in both)
        np.testing.assert_array_equal(shared.detections, plain.detections)
        assert (shared.prototypes.dtype, plain.prototypes.dtype) == (np.uint16, np.uint8)
        fine, coarse = (values(one) for one in (shared, plain))
        half_level = 0.502 * plain.levels[:, 0, None, None]
        assert (np.abs(fine - coarse) <= half_level + 1e-6).all()
        assert np.abs(fine - coarse).max() > 0.4 * half_level.max()
        assert shared.version == plain.version


def values(output: SegmentationOutput) -> np.ndarray:
    scale, low = output.levels.T[..., None, None].astype(np.float64)
    return output.prototypes * scale + low


def test_requests_at_once_do_not_mix(both: tuple[TritonMaskModels, TritonMaskModels]) -> None:
    frames = [frame(seed, 160 + 32 * (seed % 3)) for seed in range(24)]
    right = [both[1].segment(one).detections[:, 4] for one in frames]
    with ThreadPoolExecutor(6) as executor:
        found = list(executor.map(lambda one: both[0].segment(one).detections[:, 4], frames))
    for one, other in zip(found, right, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def forget_regions(triton_url: str) -> None:
    """Triton keeps a region for a moment after its answer, and then unregisters none."""
    deadline = time.monotonic() + 10
    with triton.InferenceServerClient(triton_url) as client:
        while True:
            try:
                client.unregister_system_shared_memory()
            except InferenceServerException:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return


def test_regions_that_triton_forgot_are_made_anew(
    both: tuple[TritonMaskModels, TritonMaskModels], triton_url: str
) -> None:
    first = both[0].segment(frame(1))
    forget_regions(triton_url)
    for _ in range(2):
        np.testing.assert_array_equal(both[0].segment(frame(1)).detections, first.detections)


def test_a_request_that_fails_fails_alone(both: tuple[TritonMaskModels, TritonMaskModels]) -> None:
    with pytest.raises(InferenceError):
        both[0].segment(frame(1, 100, 90))
    assert both[0].segment(frame(1)).detections.shape == (300, 37)


def test_nothing_is_left_behind(triton_url: str) -> None:
    before = regions()
    client = triton.InferenceServerClient(triton_url)
    models = TritonMaskModels(client, timeout_s=30, shared_slots=2)
    models.segment(frame(2))
    assert len(regions() - before) == 4
    models.close()
    assert regions() - before == set()
