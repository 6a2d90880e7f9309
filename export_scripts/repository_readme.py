"""The table in `model_repository/README.md`, generated from the configs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

_INTRODUCTION = """# Model repository

What Triton serves. Generated from the `config.pbtxt` files by `retouch-export readme`; a test fails when it is stale.

Weights are not in git: `retouch-export demo` brings demo models. One folder per model: `config.pbtxt` for the container (GPU
where there is one: `KIND_AUTO`), `configs/NAME.pbtxt` where the embedded server (`--model-config-name=embedded`) needs
another, `1/model.py` for the Python backend. What those share is in `qwen_serving/`, which is no model: serve with
`--model-control-mode=explicit` and name the models, as the gateway does.

A pipeline model runs one job per request in a thread of its own and asks the stage models for every step; their dynamic
batchers merge what the jobs ask for at the same time. `ragged`: requests of different length may share a batch. A transformer's LoRA
adapters are `1/weights/adapters/NAME/pytorch_lora_weights.safetensors`, with an optional `adapter.json`
(`{"default_scale": 1.0}`, for requests that give NAME no scale); `ADAPTERS` is JSON such as `{"NAME": 1.0}`.

| model | backend | batching | inputs | outputs |
|---|---|---|---|---|
"""


def render(repository: Path) -> str:
    """The whole README of a repository."""
    configs = [read_config(path) for path in sorted(repository.glob("*/config.pbtxt"))]
    return _INTRODUCTION + "".join(_row(repository, config) for config in configs)


def read_config(path: Path) -> Any:
    """A `config.pbtxt` as Triton's own ModelConfig message."""
    config = model_config_pb2.ModelConfig()
    text_format.Parse(path.read_text(), config)
    return config


def _row(repository: Path, config: Any) -> str:
    backend = config.backend
    variants = sorted((repository / config.name / "configs").glob("*.pbtxt"))
    for variant in variants:
        backend += f"; {variant.stem}: {read_config(variant).backend}"
    cells = (
        f"`{config.name}`",
        backend,
        _batching(config),
        _tensors(config.input),
        _tensors(config.output),
    )
    return "| " + " | ".join(cells) + " |\n"


def _batching(config: Any) -> str:
    if config.model_transaction_policy.decoupled:
        return f"decoupled, {config.parameters['max_jobs'].string_value} jobs at once"
    delay = config.dynamic_batching.max_queue_delay_microseconds / 1000
    return f"dynamic, up to {config.max_batch_size}, waits {delay:g} ms"


def _tensors(tensors: Iterable[Any]) -> str:
    return "<br>".join(_tensor(tensor) for tensor in tensors)


def _tensor(tensor: Any) -> str:
    kind = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_").lower()
    notes = [name for name in ("optional", "allow_ragged_batch") if getattr(tensor, name, False)]
    note = ", ".join("ragged" if name == "allow_ragged_batch" else name for name in notes)
    return f"`{tensor.name}` {kind} {list(tensor.dims)}" + (f" ({note})" if note else "")
