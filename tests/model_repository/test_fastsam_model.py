"""FastSAM inside the Python backend."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export_scripts.demo import SEGMENTER
from tests.model_repository.backend_utils import TritonError
from tests.model_repository.in_process import (
    answer,
    answers,
    error_code,
    largest_difference,
    load,
    request,
)


@pytest.fixture(scope="module")
def fastsam(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("fastsam")
    (folder / "1").mkdir()
    shutil.copy(SEGMENTER, folder / "1" / "model.onnx")
    spec = importlib.util.spec_from_file_location("fastsam", repository / "fastsam/1/model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return load(module.TritonPythonModel(), folder)


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 160, 160, 3), np.uint8)


@pytest.mark.parametrize("output", ["DETECTIONS", "PROTOTYPES", "IMAGE_SIZE"])
def test_each_request_gets_its_own_rows(fastsam: Any, output: str) -> None:
    batch = [request(IMAGES=pictures(count, count)) for count in (1, 3, 2)]
    together = [answer(response, output) for response in fastsam.execute(batch)]
    for single, part in zip(batch, together, strict=True):
        assert largest_difference(answers(fastsam, [single], output)[0], part) < 1e-3


def test_the_second_byte_is_for_batches_in_which_someone_asks_for_it(fastsam: Any) -> None:
    plain = request(IMAGES=pictures(1, 1), outputs=["PROTOTYPES"])
    (alone,) = fastsam.execute([plain])
    assert "PROTOTYPES_FINE" not in {tensor.name() for tensor in alone.output_tensors()}
    asking = request(IMAGES=pictures(2, 2), outputs=["PROTOTYPES", "PROTOTYPES_FINE"])
    _, found = fastsam.execute([plain, asking])
    assert answer(found, "PROTOTYPES_FINE").shape == answer(found, "PROTOTYPES").shape


def test_what_cannot_run_is_answered(fastsam: Any) -> None:
    odd = request(IMAGES=np.zeros((1, 50, 50, 3), np.uint8))
    assert [error_code(r) for r in fastsam.execute([odd])] == [TritonError.INTERNAL]
