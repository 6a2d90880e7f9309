"""Precisions of the torch stages, quantised weights under adapters, and compiled blocks."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qwen_serving.denoiser import TritonPythonModel as Denoiser
from qwen_serving.precision import PrecisionError, check_precision, dtype_of, quantise
from qwen_serving.stage_settings import StageSettingsError
from qwen_serving.text_encoder import TritonPythonModel as TextEncoder
from qwen_serving.vae import Decoder
from qwen_serving.warm_up import WarmUpError
from tests.model_repository.in_process import answers, load, request
from tests.model_repository.steps import predictions, step
from tests.model_repository.versions import write_version
from tests.random_adapters import save_random_adapters

CPU = torch.device("cpu")
ADAPTERS = {"removal": 1.0, "lightning": 0.5}


@pytest.fixture(scope="module")
def weights(generation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer with adapters that change a picture visibly."""
    folder = tmp_path_factory.mktemp("adapted") / "transformer"
    shutil.copytree(generation / "transformer", folder)
    save_random_adapters(folder, alpha=16)
    return folder


@pytest.fixture(scope="module")
def full(weights: Path, version_of: Any) -> Any:
    return load(Denoiser(), version_of(weights))


@pytest.fixture(scope="module")
def int8(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_version(tmp_path_factory.mktemp("int8"), weights, precision="int8")
    return load(Denoiser(), folder)


def distance(model: Any, other: Any, **kwargs: Any) -> float:
    """Difference of two stages' answers, as a share of the other's."""
    batch = [step(seed, tokens=5 + seed, **kwargs) for seed in range(3)]
    answer, right = (np.concatenate(predictions(m, batch)) for m in (model, other))
    return float(np.linalg.norm(answer - right) / np.linalg.norm(right))


def quantised(network: Any) -> set[str]:
    """Layers whose weights are of 8 bits, without the block's number and peft's wrapper."""
    return {
        name.removesuffix(".weight").removesuffix(".base_layer").split(".", 2)[-1]
        for name, parameter in network.named_parameters()
        if type(parameter).__name__ == "Int8Tensor"
    }


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)],
)
def test_a_precision_is_the_type_of_the_weights(
    weights: Path, full: Any, tmp_path: Path, precision: str, dtype: torch.dtype
) -> None:
    model = load(Denoiser(), write_version(tmp_path, weights, precision=precision))
    assert {parameter.dtype for parameter in model.network.parameters()} == {dtype}
    assert distance(model, full) < 0.02


def test_auto_is_bf16_on_a_gpu() -> None:
    assert [dtype_of(name, torch.device("cuda")) for name in ("auto", "int8", "fp32")] == [
        torch.bfloat16,
        torch.bfloat16,
        torch.float32,
    ]
    assert dtype_of("auto", CPU) == torch.float32


def test_int8_is_for_the_matrices_of_the_blocks(int8: Any) -> None:
    attention = {"to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj"}
    mlp = {f"{side}_mlp.net.{layer}" for side in ("img", "txt") for layer in ("0.proj", "2")}
    expected = {f"attn.{name}" for name in attention | {"to_add_out"}} | mlp
    assert quantised(int8.network) == expected


def test_int8_changes_answers_a_little(int8: Any, full: Any) -> None:
    assert 0 < distance(int8, full) < 0.005


def test_adapters_work_on_int8_weights(int8: Any, full: Any) -> None:
    """The adapters change much more than the rounding does, and leave nothing behind."""
    before = predictions(int8, [step()])[0]
    right = predictions(full, [step(adapters=ADAPTERS)])[0]
    assert np.linalg.norm(before - right) > 0.1 * np.linalg.norm(right)
    assert distance(int8, full, adapters=ADAPTERS) < 0.01
    assert np.array_equal(predictions(int8, [step()])[0], before)


def test_int8_text_encoder(generation: Path, version_of: Any, tmp_path: Path) -> None:
    folder = generation / "text_encoder"
    full = load(TextEncoder(), version_of(folder))
    int8 = load(TextEncoder(), write_version(tmp_path, folder, precision="int8"))
    layers = quantised(int8.network)
    assert {name.split(".")[-1] for name in layers} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert not any("visual" in name for name in layers)
    ask = request(INPUT_IDS=np.arange(20)[None])
    answer, right = (answers(model, [ask], "HIDDEN_STATES")[0] for model in (int8, full))
    assert 0 < np.linalg.norm(answer - right) < 0.02 * np.linalg.norm(right)


def test_fp8_is_refused_without_a_gpu(weights: Path, tmp_path: Path) -> None:
    folder = write_version(tmp_path, weights, precision="fp8")
    with pytest.raises(PrecisionError, match=r"fp8 needs a GPU of .* 8\.9 or more, got the CPU"):
        load(Denoiser(), folder)


def test_fp8_is_refused_on_an_older_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    with pytest.raises(PrecisionError, match=r"8\.9 or more, got 8\.0"):
        check_precision("fp8", device, quantises=True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    check_precision("fp8", device, quantises=True)


def test_the_vae_is_not_quantised(generation: Path, tmp_path: Path) -> None:
    folder = write_version(tmp_path, generation / "vae", precision="int8")
    with pytest.raises(PrecisionError, match="int8 is for transformers and text encoders"):
        load(Decoder(), folder)


def test_a_network_without_such_layers_is_refused() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(16, 16))
    with pytest.raises(PrecisionError, match="no layer of the network can be quantised to int8"):
        quantise(network, "int8", CPU, layers=r"blocks\.")


def test_only_transformers_are_compiled(generation: Path, tmp_path: Path) -> None:
    folder = write_version(tmp_path, generation / "vae", compile=True)
    with pytest.raises(StageSettingsError, match="compile is for the transformers alone"):
        load(Decoder(), folder)


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compiled_blocks_answer_the_same(weights: Path, full: Any, tmp_path: Path) -> None:
    """Also with adapters, and with a scale that the code was not made at."""
    model = load(Denoiser(), write_version(tmp_path, weights, compile=True))
    made = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert made > 0
    assert distance(model, full) < 1e-5
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == made
    for scale in (1.0, 0.3):
        assert distance(model, full, adapters={"removal": scale}) < 1e-5


def test_a_failure_to_compile_stops_the_load(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(*_: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    def compile_with_it(self: Any, **_: Any) -> None:
        self.transformer_blocks[0].compile(backend=no_compiler)

    monkeypatch.setattr(
        "diffusers.QwenImageTransformer2DModel.compile_repeated_blocks", compile_with_it
    )
    with pytest.raises(WarmUpError, match=r"(?s)at 256x256 failed: .*no C\+\+ compiler"):
        load(Denoiser(), write_version(tmp_path, weights, compile=True))
