"""The denoising stage in ONNX Runtime against the same stage in torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export_scripts.transformer_graph import export_transformer
from qwen_serving.denoiser import TritonPythonModel as Denoiser
from qwen_serving.memory_estimate import transformer_graph_bytes
from qwen_serving.onnx_denoiser import TritonPythonModel as OnnxDenoiser
from qwen_serving.onnx_session import read_array
from qwen_serving.rope_positions import TABLE_START, image_positions, text_positions
from tests.model_repository.backend_utils import TritonError
from tests.model_repository.in_process import error_code, largest_difference, load
from tests.model_repository.memory_peaks import peak_bytes, within
from tests.model_repository.steps import Shapes, predictions, step
from tests.model_repository.versions import write_version

WARM_UP = [{"width": 64, "height": 32, "conditions": 1}]


@pytest.fixture(scope="module")
def in_torch(edit: Path, version_of: Any) -> Any:
    return load(Denoiser(), version_of(edit / "transformer"))


@pytest.fixture(scope="module")
def in_onnx(edit: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_version(
        tmp_path_factory.mktemp("onnx"), edit / "transformer", engine="onnx", warm_up=WARM_UP
    )
    export_transformer(edit / "transformer", folder / "1" / "model.onnx")
    return load(OnnxDenoiser(), folder)


@pytest.mark.parametrize(
    "shapes", [((4, 4),), ((5, 3),), ((2, 12),), ((4, 6), (2, 2)), ((3, 3), (5, 4), (1, 7))]
)
def test_answers_equal_torch(in_torch: Any, in_onnx: Any, shapes: Shapes) -> None:
    ask = [step(tokens=tokens, shapes=shapes, seed=tokens) for tokens in (1, 9)]
    for one in ask:
        (answer,), (right,) = (predictions(model, [one]) for model in (in_onnx, in_torch))
        assert largest_difference(answer, right) < 1e-5


def test_a_step_takes_no_more_memory_than_estimated(in_onnx: Any, edit: Path) -> None:
    config = json.loads((edit / "transformer" / "config.json").read_text())
    large = [step(tokens=64, shapes=((64, 64),))]
    measured = peak_bytes(lambda: predictions(in_onnx, large))
    within(transformer_graph_bytes(config, 64 * 64, 64), measured)


def test_texts_of_mixed_length_share_a_pass(in_onnx: Any, monkeypatch: Any) -> None:
    sizes: list[int] = []
    run = in_onnx.session.run

    def record(inputs: Any) -> Any:
        sizes.append(len(inputs["HIDDEN_STATES"]))
        return run(inputs)

    monkeypatch.setattr(in_onnx.session, "run", record)
    batch = [step(tokens=tokens, seed=tokens) for tokens in (3, 11, 7)]
    batch += [step(tokens=4, shapes=((2, 8),), seed=9)]
    together = predictions(in_onnx, batch)
    assert sizes == [3, 1]
    for one, mixed in zip(batch, together, strict=True):
        assert largest_difference(predictions(in_onnx, [one])[0], mixed) < 1e-5


def test_no_adapters_is_an_empty_object(in_onnx: Any) -> None:
    (answer,) = predictions(in_onnx, [step(adapters={})])
    assert np.array_equal(answer, predictions(in_onnx, [step()])[0])


def test_adapters_are_refused_alone(in_onnx: Any) -> None:
    responses = in_onnx.execute([step(adapters={"removal": 1.0}), step()])
    assert [error_code(response) for response in responses] == [TritonError.INVALID_ARG, None]
    message = responses[0].error().message()
    assert message.endswith("adapters need the engine torch, got removal")


def test_guidance_is_refused(in_onnx: Any) -> None:
    (response,) = in_onnx.execute([step(GUIDANCE=np.ones((1, 1), np.float32))])
    assert error_code(response) == TritonError.INVALID_ARG


def test_a_bad_text_fails_alone(in_onnx: Any) -> None:
    responses = in_onnx.execute([step(), step(width=7), step(tokens=2)])
    assert [error_code(r) for r in responses] == [None, TritonError.INTERNAL, None]


def test_a_missing_graph_is_named(edit: Path, tmp_path: Path) -> None:
    folder = write_version(tmp_path, edit / "transformer", engine="onnx")
    with pytest.raises(FileNotFoundError, match=r"engine onnx needs model\.onnx in version 1"):
        load(OnnxDenoiser(), folder)


@pytest.mark.parametrize(
    "shapes", [[(1, 4, 4)], [(1, 7, 3)], [(1, 64, 48), (1, 5, 9)], [(2, 3, 3), (1, 1, 40)]]
)
def test_positions_are_those_of_diffusers(
    in_torch: Any, shapes: list[tuple[int, int, int]]
) -> None:
    rope = in_torch.network.pos_embed
    table = torch.cat([rope.neg_freqs, rope.pos_freqs])
    columns = table.split([width // 2 for width in rope.axes_dim], dim=1)

    def angles(positions: np.ndarray) -> torch.Tensor:
        return torch.cat([columns[i][positions[:, i] - TABLE_START] for i in range(3)], dim=1)

    images, text = rope([shapes], max_txt_seq_len=20, device=torch.device("cpu"))
    assert torch.equal(angles(image_positions(shapes)), images)
    assert torch.equal(angles(np.repeat(text_positions(shapes, 20)[:, None], 3, 1)), text)


def test_a_text_beyond_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than the 4096 positions"):
        text_positions([(1, 64, 64)], 4096 - 31)
    assert len(text_positions([(1, 64, 64)], 4096 - 32)) == 4064


class _OnGpu:
    """A Triton tensor whose memory NumPy cannot read, only DLPack."""

    def __init__(self, held: torch.Tensor) -> None:
        self._held = held

    def is_cpu(self) -> bool:
        return False

    def as_numpy(self) -> np.ndarray:
        raise AssertionError("not in the host's memory")

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._held.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._held.__dlpack_device__()


def test_a_tensor_outside_the_hosts_memory_is_copied() -> None:
    held = torch.arange(6.0).reshape(2, 3)
    assert np.array_equal(read_array(_OnGpu(held)), held.numpy())
