"""Whether tensors fit a `config.pbtxt`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2

from export_scripts.repository_readme import read_config

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"


def config_of(model: str) -> Any:
    return read_config(REPOSITORY / model / "config.pbtxt")


def wire_type(tensor: Any) -> str:
    """Type of a configured tensor in the words of the protocol: FP32, BYTES, ..."""
    name = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def misfits(config: Any, sent: dict[str, tuple[str, list[int]]]) -> list[str]:
    """What a request gets wrong: names, wire types, shapes (with batch dimension), absences."""
    wrong = []
    known = {tensor.name: tensor for tensor in config.input}
    for name, (datatype, shape) in sent.items():
        if name not in known:
            wrong.append(f"{name} is unknown")
            continue
        if datatype != wire_type(known[name]):
            wrong.append(f"{name} is {datatype}")
        if not _matches(shape[1:] if config.max_batch_size else shape, known[name].dims):
            wrong.append(f"{name} has shape {shape}")
    needed = {tensor.name for tensor in config.input if not tensor.optional}
    return wrong + [f"{name} is missing" for name in sorted(needed - sent.keys())]


def _matches(shape: Iterable[int], dims: Iterable[int]) -> bool:
    shape, dims = list(shape), list(dims)
    return len(shape) == len(dims) and all(
        want in (-1, got) for got, want in zip(shape, dims, strict=True)
    )
