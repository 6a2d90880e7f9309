"""The stages' cache: bounded, keyed by every byte of the inputs, the same answers as without."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_scripts.vae_graph import export_vae_halves
from gateway.triton.triton_canaries import stage_canary
from qwen_serving.bounded_cache import BoundedCache, digest
from qwen_serving.onnx_half import TritonPythonModel as OnnxHalf
from qwen_serving.text_encoder import TritonPythonModel as TextEncoder
from qwen_serving.vae import Encoder
from tests.model_repository.backend_utils import TritonError
from tests.model_repository.config_fit import config_of
from tests.model_repository.in_process import answer, answers, error_code, load, request

CACHED = ("qwen_text_encoder", "qwen_vae_encoder")
STAGES = (*CACHED, "qwen_vae_decoder")


class Case:
    """A kind of stage, with and without a cache, and requests that differ by a seed."""

    def __init__(self, make: Any, folder: Path, output: str) -> None:
        self.make, self.folder, self.output = make, folder, output
        self.plain = load(make(), folder)
        self.cached = load(make(), folder, cache_bytes=2**20)
        self.passes: list[int] = []

    def count_passes(self, model: Any) -> list[int]:
        """Requests per forward pass from here on."""
        passes: list[int] = []
        run = model.run

        def counted(group: Any) -> Any:
            passes.append(len(group))
            return run(group)

        model.run = counted
        return passes

    def ask(self, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        if self.output == "MOMENTS":
            return request(IMAGE=rng.uniform(-1, 1, (1, 3, 1, 32, 48)).astype(np.float32))
        return request(INPUT_IDS=rng.integers(0, 100, (1, 9)))

    def bad(self) -> Any:
        if self.output == "MOMENTS":
            return request(IMAGE=np.zeros((1, 5, 1, 32, 48), np.float32))
        return request(INPUT_IDS=np.full((1, 9), 10**9))


@pytest.fixture(scope="module", params=["text encoder", "VAE encoder", "ONNX VAE encoder"])
def case(request: Any, generation: Path, tmp_path_factory: Any, version_of: Any) -> Case:
    if request.param == "text encoder":
        return Case(TextEncoder, version_of(generation / "text_encoder"), "HIDDEN_STATES")
    if request.param == "VAE encoder":
        return Case(Encoder, version_of(generation / "vae"), "MOMENTS")
    folder = tmp_path_factory.mktemp("graphs")
    (folder / "1").mkdir()
    graphs = folder / "1" / "model.onnx", folder / "1" / "decoder.onnx"
    export_vae_halves(generation / "vae", *graphs)
    return Case(OnnxHalf, folder, "MOMENTS")


@pytest.fixture
def passes(case: Case) -> list[int]:
    """Requests per forward pass of the cached stage, which starts empty."""
    case.cached.cache.clear()
    return case.count_passes(case.cached)


def test_a_known_request_is_answered_without_the_network(case: Case, passes: list[int]) -> None:
    (first,) = answers(case.cached, [case.ask(1)], case.output)
    (second,) = answers(case.cached, [case.ask(1)], case.output)
    assert passes == [1]
    (plain,) = answers(case.plain, [case.ask(1)], case.output)
    assert np.array_equal(first, plain)
    assert np.array_equal(second, plain)


def test_equal_requests_of_a_batch_are_computed_once(case: Case, passes: list[int]) -> None:
    asked = [1, 2, 1, 1, 2]
    found = answers(case.cached, [case.ask(seed) for seed in asked], case.output)
    assert passes == [2]
    expected = answers(case.plain, [case.ask(1), case.ask(2)], case.output)
    for seed, value in zip(asked, found, strict=True):
        assert np.array_equal(value, expected[seed - 1])


def test_what_a_batch_left_behind_is_not_kept_alive(case: Case, passes: list[int]) -> None:
    batch = [case.ask(seed) for seed in range(4)]
    (size,) = {value.nbytes for value in answers(case.cached, batch, case.output)}
    assert case.cached.cache.size_bytes == 4 * size
    for outputs, _ in case.cached.cache._entries.values():
        (kept,) = outputs.values()
        memory = kept if isinstance(kept, np.ndarray) else kept.numpy()
        while memory.base is not None and isinstance(memory.base, np.ndarray):
            memory = memory.base
        assert memory.nbytes == size
        if not isinstance(kept, np.ndarray):
            assert kept.untyped_storage().nbytes() == size


def test_a_failure_is_not_kept(case: Case, passes: list[int]) -> None:
    responses = case.cached.execute([case.bad(), case.ask(1), case.bad()])
    codes = [error_code(response) for response in responses]
    assert codes == [TritonError.INTERNAL, None, TritonError.INTERNAL]
    passes.clear()
    again = case.cached.execute([case.bad(), case.ask(1)])
    assert [error_code(response) for response in again] == [TritonError.INTERNAL, None]
    assert passes == [1]


def test_answers_that_do_not_fit_are_given_all_the_same(case: Case) -> None:
    tiny = load(case.make(), case.folder, cache_bytes=16)
    passes = case.count_passes(tiny)
    for _ in range(2):
        answers(tiny, [case.ask(1)], case.output)
    assert passes == [1, 1]
    assert len(tiny.cache) == 0


def test_without_the_parameter_nothing_is_kept(case: Case) -> None:
    passes = case.count_passes(case.plain)
    for response in case.plain.execute([case.ask(1), case.ask(1)]):
        answer(response, case.output)
    assert passes == [2]
    assert len(case.plain.cache) == 0


def test_small_requests_always_reach_the_network(case: Case) -> None:
    model = load(case.make(), case.folder, cache_bytes=2**20, cache_min_input_bytes=10**6)
    passes = case.count_passes(model)
    answers(model, [case.ask(1), case.ask(1)], case.output)
    answers(model, [case.ask(1)], case.output)
    assert passes == [2, 1]


@pytest.mark.parametrize("model", CACHED)
def test_a_canary_is_too_small_for_the_cache(model: str) -> None:
    parameters = config_of(model).parameters
    threshold = int(parameters["cache_min_input_bytes"].string_value)
    canary = stage_canary(model, {})
    assert sum(array.nbytes for array in canary.values()) < threshold
    prompt_template, smallest_picture = 34 * 8, 3 * 32 * 32 * 4
    assert threshold < (prompt_template if "text" in model else smallest_picture)
    assert int(parameters["cache_bytes"].string_value) == 64 * 2**20


@pytest.mark.parametrize("model", STAGES)
def test_a_step_of_an_accepted_job_is_never_refused(model: str) -> None:
    batching = config_of(model).dynamic_batching
    assert not batching.HasField("default_queue_policy")
    assert not batching.priority_queue_policy
    assert batching.priority_levels == 0


def test_the_key_tells_inputs_apart() -> None:
    zeros = np.zeros((2, 3), np.float32)
    different = [
        {"A": zeros},
        {"B": zeros},
        {"A": zeros.T},
        {"A": zeros.reshape(-1)},
        {"A": zeros.view(np.int32)},
        {"A": np.full((2, 3), -0.0, np.float32)},
        {"A": zeros, "B": zeros},
        {"A": np.zeros((4, 3), np.float32)},
        {"A": zeros[:0]},
        {},
    ]
    assert len({digest(arrays) for arrays in different}) == len(different)


def test_the_key_is_that_of_the_values() -> None:
    square = np.arange(16.0).reshape(4, 4)
    assert digest({"A": square.T}) == digest({"A": np.ascontiguousarray(square.T)})
    assert digest({"A": square, "B": square[0]}) == digest({"B": square[0], "A": square})


def test_a_cache_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        BoundedCache(-1)


def test_what_was_asked_for_last_stays() -> None:
    cache: BoundedCache[str] = BoundedCache(2)
    cache.put(b"a", "first", 1)
    cache.put(b"b", "second", 1)
    assert cache.get(b"a") == "first"
    cache.put(b"c", "third", 1)
    assert [cache.get(key) for key in (b"a", b"b", b"c")] == ["first", None, "third"]


@given(
    st.integers(0, 20),
    st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 12)), max_size=60),
)
def test_the_cache_equals_a_plain_list(
    max_bytes: int, actions: list[tuple[bool, int, int]]
) -> None:
    cache: BoundedCache[int] = BoundedCache(max_bytes)
    model: list[tuple[int, int, int]] = []  # key, value, size; the latest used at the end
    for number, (is_put, key, size) in enumerate(actions):
        known = next((entry for entry in model if entry[0] == key), None)
        if not is_put:
            assert cache.get(bytes([key])) == (known[1] if known else None)
            if known:
                model.remove(known)
                model.append(known)
            continue
        cache.put(bytes([key]), number, size)
        if size <= max_bytes:
            if known:
                model.remove(known)
            while sum(entry[2] for entry in model) + size > max_bytes:
                model.pop(0)
            model.append((key, number, size))
        assert cache.size_bytes == sum(entry[2] for entry in model) <= max_bytes
        assert len(cache) == len(model)
