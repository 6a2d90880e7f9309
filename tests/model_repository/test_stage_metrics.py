"""What the stages report, by a stand-in for Triton's metrics."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from qwen_serving.stage import Stage, Tensors
from qwen_serving.stage_metrics import StageMetrics
from tests.model_repository import backend_utils
from tests.model_repository.in_process import load, request

PUBLISHED: dict[str, list[float]] = defaultdict(list)
"""Every change of every metric, by name and model."""


class Family:
    COUNTER, HISTOGRAM = "counter", "histogram"

    def __init__(self, name: str, description: str, kind: str) -> None:
        self.name, self.kind = name, kind

    def Metric(self, labels: dict[str, str], buckets: list[float] | None = None) -> Any:
        assert (buckets is not None) == (self.kind == self.HISTOGRAM)
        return Metric(PUBLISHED[f"{self.name} {labels['model']}"], self.kind)


class Metric:
    def __init__(self, changes: list[float], kind: str) -> None:
        self.changes, self.kind = changes, kind

    def increment(self, value: float) -> None:
        assert self.kind == Family.COUNTER
        assert value >= 0
        self.changes.append(value)

    def observe(self, value: float) -> None:
        assert self.kind == Family.HISTOGRAM
        self.changes.append(value)


class Doubling(Stage):
    """Groups by sign; refuses zero."""

    def load(self, folder: Any) -> None:
        pass

    def group_key(self, inputs: Tensors) -> bool:
        return bool(inputs["A"] > 0)

    def run(self, group: Sequence[Tensors]) -> list[Tensors]:
        if any(not inputs["A"].any() for inputs in group):
            raise RuntimeError("zero")
        return [{"B": inputs["A"] * 2} for inputs in group]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    monkeypatch.setattr(backend_utils, "MetricFamily", Family, raising=False)
    PUBLISHED.clear()
    return PUBLISHED


def of(value: float, *, canceled: bool = False) -> Any:
    return request(A=torch.tensor([value]).numpy(), canceled=canceled)


def test_a_batch_is_counted_by_its_forward_passes(published: Any, tmp_path: Any) -> None:
    stage = load(Doubling(), tmp_path)
    stage.execute([of(1), of(2), of(-1), of(3, canceled=True), of(4)])
    name = tmp_path.name
    assert published[f"retouch_stage_batch_size {name}"] == [3, 1]
    seconds = published[f"retouch_stage_seconds_total {name}"]
    assert len(seconds) == 2
    assert 0 < sum(seconds) < 1
    assert published[f"retouch_stage_cache_misses_total {name}"] == []


def test_hits_and_misses(published: Any, tmp_path: Any) -> None:
    stage = load(Doubling(), tmp_path, cache_bytes=1000)
    name = tmp_path.name
    hits = published[f"retouch_stage_cache_hits_total {name}"]
    misses = published[f"retouch_stage_cache_misses_total {name}"]
    stage.execute([of(1), of(1), of(2)])
    assert (sum(hits), sum(misses)) == (1, 2)
    stage.execute([of(1), of(2), of(3), of(4, canceled=True)])
    assert (sum(hits), sum(misses)) == (3, 3)
    assert published[f"retouch_stage_batch_size {name}"] == [2, 1]


def test_failed_passes_are_not_counted(published: Any, tmp_path: Any) -> None:
    stage = load(Doubling(), tmp_path)
    stage.execute([of(0), of(-1), of(-2)])
    assert published[f"retouch_stage_batch_size {tmp_path.name}"] == [1, 1]


def test_without_metrics_nothing_fails() -> None:
    assert not hasattr(backend_utils, "MetricFamily")
    metrics = StageMetrics("qwen_text_encoder")
    metrics.ran(rows=1, seconds=0.1)
    metrics.looked_up(hits=1, misses=1)
