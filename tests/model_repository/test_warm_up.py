"""What a stage runs when it loads, and what its failure says."""

from pathlib import Path
from typing import Any

import pytest
import torch

from export_scripts.vae_graph import export_vae_halves
from qwen_serving.denoiser import TritonPythonModel as Denoiser
from qwen_serving.onnx_half import TritonPythonModel as OnnxHalf
from qwen_serving.stage_settings import Bucket
from qwen_serving.text_encoder import TritonPythonModel as TextEncoder
from qwen_serving.vae import Decoder, Encoder
from qwen_serving.warm_up import WarmUpError, warm_up
from tests.model_repository.in_process import load
from tests.model_repository.versions import write_version

WIDE = {"width": 96, "height": 64}
SIZES = [WIDE, {"width": 64, "height": 64, "conditions": 2}]


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, tuple[int, ...]]]:
    """Shapes of the inputs of every pass of any stage."""
    seen: list[dict[str, tuple[int, ...]]] = []
    for stage in (Denoiser, TextEncoder, Encoder, Decoder, OnnxHalf):
        original = stage.run

        def run(self: Any, group: Any, original: Any = original) -> Any:
            seen.extend({name: tuple(a.shape) for name, a in one.items()} for one in group)
            return original(self, group)

        monkeypatch.setattr(stage, "run", run)
    return seen


def test_nothing_runs_unless_asked(generation: Path, tmp_path: Path, shapes: list[Any]) -> None:
    load(Denoiser(), write_version(tmp_path, generation / "transformer"))
    assert shapes == []


def test_a_transformer_runs_every_size(generation: Path, tmp_path: Path, shapes: list[Any]) -> None:
    """Patches are 16 pixels a side; condition images are as large as the output."""
    load(Denoiser(), write_version(tmp_path, generation / "transformer", warm_up=SIZES))
    assert [(s["HIDDEN_STATES"], s["IMG_SHAPES"]) for s in shapes] == [
        ((1, 24, 64), (1, 1, 3)),
        ((1, 48, 64), (1, 3, 3)),
    ]


def test_a_text_encoder_runs_one_text(generation: Path, tmp_path: Path, shapes: list[Any]) -> None:
    load(TextEncoder(), write_version(tmp_path, generation / "text_encoder", warm_up=SIZES))
    assert shapes == [{"INPUT_IDS": (1, 64)}]


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_the_halves_of_the_vae_run_every_size(
    generation: Path, tmp_path: Path, shapes: list[Any], engine: str
) -> None:
    folders = [
        write_version(tmp_path / name, generation / "vae", engine=engine, warm_up=[WIDE])
        for name in ("encoder", "decoder")
    ]
    if engine == "onnx":
        export_vae_halves(generation / "vae", *(path / "1" / "model.onnx" for path in folders))
    classes = (Encoder, Decoder) if engine == "torch" else (OnnxHalf, OnnxHalf)
    for cls, folder in zip(classes, folders, strict=True):
        load(cls(), folder)
    assert shapes == [{"IMAGE": (1, 3, 1, 64, 96)}, {"LATENTS": (1, 16, 1, 8, 12)}]


def test_a_failure_stops_the_load_and_names_the_size(
    generation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("no kernel")

    monkeypatch.setattr(Decoder, "run", fail)
    folder = write_version(tmp_path, generation / "vae", warm_up=[WIDE])
    with pytest.raises(WarmUpError, match="warm-up at 96x64 failed: ValueError: no kernel"):
        load(Decoder(), folder)


def test_out_of_memory_names_the_size(
    generation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise torch.OutOfMemoryError("2 GiB")

    monkeypatch.setattr(Denoiser, "run", fail)
    folder = write_version(tmp_path, generation / "transformer", warm_up=SIZES[1:])
    message = "out of memory in the warm-up at 64x64 with 2 condition images"
    with pytest.raises(WarmUpError, match=message):
        load(Denoiser(), folder)


def test_numbers_that_are_not_finite_stop_the_load(generation: Path, version_of: Any) -> None:
    model = load(Decoder(), version_of(generation / "vae"))
    broken = {"LATENTS": torch.full((1, 16, 1, 8, 8), torch.nan)}
    with pytest.raises(WarmUpError, match="at 64x64 gave numbers that are not finite"):
        warm_up(model, [Bucket(64, 64)], lambda _: [[broken]])
