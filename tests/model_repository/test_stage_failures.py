"""A stage that runs out of memory: one request fails, the others and the next do not."""

import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from qwen_serving.stage import Stage, Tensors
from tests.model_repository.backend_utils import TritonError
from tests.model_repository.in_process import answer, error_code, load, request


class Greedy(Stage):
    """Has room for `room` rows; a row of -1 never fits. Remembers what its passes allocated."""

    room = 1

    def load(self, folder: Any) -> None:
        self.passes: list[int] = []
        self.activations: list[weakref.ref[torch.Tensor]] = []
        self.freed = 0

    def group_key(self, inputs: Tensors) -> None:
        return None

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        self.passes.append(len(group))
        activation = torch.cat([inputs["A"] for inputs in group])
        self.activations.append(weakref.ref(activation))
        if len(group) > self.room or bool((activation < 0).any()):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return [{"B": inputs["A"] * 2} for inputs in group]

    def free_memory(self) -> None:
        assert all(activation() is None for activation in self.activations), "still held"
        self.freed += 1
        super().free_memory()


@pytest.fixture
def stage(tmp_path: Any) -> Greedy:
    greedy: Greedy = load(Greedy(), tmp_path, cache_bytes=1000)
    return greedy


def of(value: float) -> Any:
    return request(A=torch.tensor([value]).numpy())


def test_a_batch_that_does_not_fit_runs_one_by_one(stage: Greedy) -> None:
    values = [answer(r, "B").item() for r in stage.execute([of(1), of(2), of(3)])]
    assert values == [2, 4, 6]
    assert stage.passes == [3, 1, 1, 1]
    assert stage.freed == 1


def test_one_that_never_fits_fails_alone_with_a_sentence(
    stage: Greedy, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("CRITICAL"):  # pytest keeps records, and with them the traceback
        responses = stage.execute([of(1), of(-1), of(3)])
    assert [error_code(r) for r in responses] == [None, TritonError.INTERNAL, None]
    sentence = responses[1].error().message()
    assert sentence == "out of memory; use a smaller size or fewer concurrent jobs"
    assert stage.freed == 2


def test_the_next_request_works_and_the_cache_made_room(
    stage: Greedy, caplog: pytest.LogCaptureFixture
) -> None:
    stage.execute([of(1)])
    assert len(stage.cache) == 1
    with caplog.at_level("CRITICAL"):
        stage.execute([of(-1)])
    assert len(stage.cache) == 0
    assert answer(stage.execute([of(1)])[0], "B").item() == 2
    assert len(stage.cache) == 1


def test_the_allocator_is_emptied_on_the_gpu_alone(
    stage: Greedy, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(stage.device.type))
    stage.free_memory()
    stage.device = torch.device("cuda:0")
    stage.free_memory()
    assert emptied == ["cuda"]
