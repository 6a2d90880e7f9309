"""LoRA adapters in the denoising stage: every row as if it were alone with its own adapters."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from qwen_serving.adapters import read_adapters
from qwen_serving.denoiser import TritonPythonModel
from tests.model_repository.backend_utils import InferenceRequest, TritonError
from tests.model_repository.in_process import (
    answer,
    answers,
    error_code,
    largest_difference,
    load,
    request,
)
from tests.random_adapters import TARGETS, WEIGHTS, save_random_adapters, with_adapters

ALPHA = 6
POISON = 1.0
"""A timestep at which the network breaks, deep inside."""


@dataclass(frozen=True)
class Row:
    """One request of a batch."""

    adapters: tuple[tuple[str, float | None], ...] = ()
    seed: int = 0
    tokens: int = 3
    trouble: str = ""

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.seed)
        width = 7 if self.trouble == "bad text" else 32
        timestep = POISON if self.trouble == "breaks" else 0.9 * rng.random()
        return {
            "HIDDEN_STATES": rng.standard_normal((1, 16, 64), np.float32),
            "TIMESTEP": np.array([[timestep]], np.float32),
            "ENCODER_HIDDEN_STATES": rng.standard_normal((1, self.tokens, width), np.float32),
            "IMG_SHAPES": np.array([[[1, 4, 4]]], np.int32),
        }

    @property
    def request(self) -> InferenceRequest:
        wanted = dict(self.adapters) | ({"unknown": 1.0} if self.trouble == "unknown" else {})
        inputs = self.inputs
        if wanted:
            inputs["ADAPTERS"] = np.array([[json.dumps(wanted).encode()]], object)
        return request(canceled=self.trouble == "canceled", **inputs)

    @property
    def error(self) -> int | None:
        return {
            "": None,
            "bad text": TritonError.INTERNAL,
            "breaks": TritonError.INTERNAL,
            "unknown": TritonError.INVALID_ARG,
            "canceled": TritonError.CANCELLED,
        }[self.trouble]


@pytest.fixture(scope="module")
def weights(generation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny transformer with three adapters beside its weights."""
    folder = tmp_path_factory.mktemp("transformer") / "weights"
    shutil.copytree(generation / "transformer", folder)
    save_random_adapters(folder, alpha=ALPHA)
    details = folder / "adapters" / "lightning" / "adapter.json"
    details.write_text('{"default_scale": 0.5}')
    return folder


@pytest.fixture(scope="module")
def denoiser(weights: Path, version_of: Any) -> TritonPythonModel:
    model = load(TritonPythonModel(), version_of(weights))
    poisoned = []

    def look(_network: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        poisoned[:] = [bool((kwargs["timestep"] == POISON).any())]

    def break_down(_block: Any, _args: Any) -> None:
        if poisoned[0]:
            raise RuntimeError("broken")

    model.network.register_forward_pre_hook(look, with_kwargs=True)
    model.network.transformer_blocks[-1].register_forward_pre_hook(break_down)
    return model


@pytest.fixture
def passes(denoiser: TritonPythonModel) -> Iterator[list[int]]:
    """Batch size of every forward pass from here on."""
    sizes: list[int] = []

    def record(_network: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        sizes.append(len(kwargs["hidden_states"]))

    hook = denoiser.network.register_forward_pre_hook(record, with_kwargs=True)
    yield sizes
    hook.remove()


@cache
@torch.inference_mode()
def in_plain_diffusers(weights: Path, row: Row) -> np.ndarray:
    inputs = {name: torch.from_numpy(array) for name, array in row.inputs.items()}
    noise = _fresh(weights, tuple(sorted(row.adapters)))(
        hidden_states=inputs["HIDDEN_STATES"],
        timestep=inputs["TIMESTEP"].reshape(1),
        encoder_hidden_states=inputs["ENCODER_HIDDEN_STATES"],
        encoder_hidden_states_mask=None,
        img_shapes=[[(1, 4, 4)]],
        return_dict=False,
    )[0]
    return noise.numpy()


@cache
def _fresh(weights: Path, adapters: tuple[tuple[str, float], ...]) -> Any:
    return with_adapters(weights, dict(adapters))


SCALES = st.sampled_from([0.0, 0.5, 2.0])
SETS = st.dictionaries(st.sampled_from(sorted(TARGETS)), SCALES).map(
    lambda wanted: tuple(wanted.items())
)
TROUBLE = st.sampled_from(["", "", "", "", "bad text", "breaks", "unknown", "canceled"])
ROWS = st.builds(Row, SETS, st.integers(0, 5), st.sampled_from([3, 5]), TROUBLE)


@pytest.mark.timeout(300)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_every_row_equals_itself_alone_with_its_adapters(
    denoiser: TritonPythonModel, weights: Path, batches: list[list[Row]]
) -> None:
    for batch in batches:
        responses = denoiser.execute([row.request for row in batch])
        assert [error_code(response) for response in responses] == [row.error for row in batch]
        for row, response in zip(batch, responses, strict=True):
            if not row.trouble:
                alone = in_plain_diffusers(weights, row)
                limit = 1e-4 if row.adapters else 1e-5
                assert largest_difference(answer(response, "NOISE_PRED"), alone) < limit


def test_every_set_paints_something_else(weights: Path) -> None:
    sets = [(), *(((name, scale),) for name in TARGETS for scale in (0.25, 1.0))]
    painted = [in_plain_diffusers(weights, Row(chosen)) for chosen in sets]
    for index, one in enumerate(painted):
        assert all(largest_difference(one, other) > 0.01 for other in painted[:index])


def test_the_base_model_is_itself_bit_for_bit(
    denoiser: TritonPythonModel, generation: Path, version_of: Any
) -> None:
    plain = load(TritonPythonModel(), version_of(generation / "transformer"))
    base = [Row(seed=seed) for seed in range(3)]
    for between in TARGETS:
        answers(denoiser, [Row(((between, 1.0),)).request], "NOISE_PRED")
        served = answers(denoiser, [row.request for row in base], "NOISE_PRED")
        expected = answers(plain, [row.request for row in base], "NOISE_PRED")
        assert all(map(np.array_equal, served, expected))


def test_a_scale_multiplies_alpha_by_b_times_a(weights: Path, denoiser: TritonPythonModel) -> None:
    """Against weights merged by hand, without peft."""
    merged = with_adapters(weights, {})
    tensors = load_file(weights / "adapters" / "removal" / WEIGHTS)
    for name in [name for name in tensors if name.endswith("lora_A.weight")]:
        layer = name.removeprefix("transformer.").removesuffix(".lora_A.weight")
        b_times_a = tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
        merged.get_submodule(layer).weight.data += 0.5 * ALPHA / 4 * b_times_a
    row = Row((("removal", 0.5),))
    inputs = {name: torch.from_numpy(array) for name, array in row.inputs.items()}
    with torch.inference_mode():
        expected = merged(
            hidden_states=inputs["HIDDEN_STATES"],
            timestep=inputs["TIMESTEP"].reshape(1),
            encoder_hidden_states=inputs["ENCODER_HIDDEN_STATES"],
            encoder_hidden_states_mask=None,
            img_shapes=[[(1, 4, 4)]],
        ).sample
    assert largest_difference(answers(denoiser, [row.request], "NOISE_PRED")[0], expected) < 1e-4


def test_a_batch_is_split_by_adapters(denoiser: TritonPythonModel, passes: list[int]) -> None:
    both = (("removal", 1.0), ("lightning", 0.5))
    sets = [both, (), both[::-1], (("removal", 0.0),), (("removal", 1.0), ("lightning", None))]
    answers(denoiser, [Row(chosen).request for chosen in sets], "NOISE_PRED")
    assert sorted(passes) == [2, 3]


def test_an_unknown_adapter_fails_alone(denoiser: TritonPythonModel) -> None:
    row = Row((("removal", 1.0),))
    responses = denoiser.execute([row.request, Row(trouble="unknown").request])
    assert [error_code(response) for response in responses] == [None, TritonError.INVALID_ARG]
    sentence = responses[1].error().message()
    assert sentence == "there is no adapter 'unknown'; there are: lightning, removal, white-balance"


def test_a_checkpoint_without_adapters_says_so(generation: Path, version_of: Any) -> None:
    plain = load(TritonPythonModel(), version_of(generation / "transformer"))
    (refused,) = plain.execute([Row((("removal", 1.0),)).request])
    assert refused.error().message() == "there is no adapter 'removal'; there are: none"


@pytest.mark.parametrize(
    "text", ["{", "[]", "1", '{"a": "1"}', '{"a": true}', '{"a": NaN}', '{"a": 1e999}', "[" * 9999]
)
def test_what_is_no_set_is_refused(denoiser: TritonPythonModel, text: str) -> None:
    with pytest.raises(ValueError, match="adapters are a JSON object like"):
        read_adapters(text)
    bad = request(**Row().inputs, ADAPTERS=np.array([[text.encode()]], object))
    responses = denoiser.execute([bad, Row().request])
    assert [error_code(response) for response in responses] == [TritonError.INVALID_ARG, None]


def test_two_strings_are_refused(denoiser: TritonPythonModel) -> None:
    two = request(**Row().inputs, ADAPTERS=np.array([[b"{}", b"{}"]], object))
    assert error_code(denoiser.execute([two])[0]) == TritonError.INVALID_ARG


@pytest.mark.parametrize("text", ["", " ", "{}"])
def test_an_empty_set_is_the_base_model(denoiser: TritonPythonModel, text: str) -> None:
    said = request(**Row().inputs, ADAPTERS=np.array([[text.encode()]], object))
    one, other = (answers(denoiser, [r], "NOISE_PRED")[0] for r in (said, Row().request))
    assert np.array_equal(one, other)


def test_a_switch_that_did_not_happen_is_an_error(
    denoiser: TritonPythonModel, weights: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    rows = [Row((("removal", 0.7),)), Row()]
    with monkeypatch.context() as broken:
        broken.setattr(denoiser.network, "set_adapters", lambda *_: None)
        responses = denoiser.execute([row.request for row in rows])
    assert [error_code(response) for response in responses] == [TritonError.INTERNAL, None]
    assert "AdapterMismatchError" in responses[0].error().message()
    assert passes == [1]
    for row, noise in zip(
        rows, answers(denoiser, [row.request for row in rows], "NOISE_PRED"), strict=True
    ):
        assert largest_difference(noise, in_plain_diffusers(weights, row)) < 1e-5


def test_a_wrong_scale_in_one_layer_is_an_error(denoiser: TritonPythonModel) -> None:
    chosen = denoiser.adapters.resolve({"removal": 1.0})
    with torch.inference_mode():
        denoiser.adapters.activate(chosen)
        layer = denoiser.network.transformer_blocks[-1].attn.to_q
        layer.scaling = {name: factor * 1.01 for name, factor in layer.scaling.items()}
        with pytest.raises(RuntimeError, match="removal"):
            denoiser.adapters.verify(chosen)
        denoiser.adapters.activate(chosen)
        denoiser.adapters.verify(chosen)


@pytest.mark.parametrize("name", ["type", "keys", "weight", "default", "0-lora_a"])
def test_any_name_the_gateway_takes_can_be_loaded(
    weights: Path, version_of: Any, tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(weights, tmp_path / "weights")
    (folder / "adapters" / "removal").rename(folder / "adapters" / name)
    model = load(TritonPythonModel(), version_of(folder))
    assert name in model.adapters.names
    served = answers(model, [Row(((name, 1.0),)).request], "NOISE_PRED")[0]
    expected = in_plain_diffusers(weights, Row((("removal", 1.0),)))
    assert largest_difference(served, expected) < 1e-4


def test_an_adapter_of_another_model_stops_the_start(
    weights: Path, version_of: Any, tmp_path: Path
) -> None:
    folder = shutil.copytree(weights, tmp_path / "weights")
    tensors = {
        "unet.down.lora_A.weight": torch.zeros(4, 4),
        "unet.down.lora_B.weight": torch.eye(4),
    }
    save_file(tensors, folder / "adapters" / "removal" / WEIGHTS)
    with pytest.raises(ValueError, match="adapter removal fits no layer"):
        load(TritonPythonModel(), version_of(folder))
