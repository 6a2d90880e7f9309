"""How a stage runs, as the exporter wrote it beside the weights: `stage.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "stage.json"
ENGINES = ("torch", "onnx")
PRECISIONS = ("auto", "bf16", "fp16", "fp32", "fp8", "int8")
QUANTISED = ("fp8", "int8")
ONNX_PRECISIONS = ("auto", "fp32")
"""A graph holds its own precision, which is fp32."""
SIDE_MULTIPLE = 16
"""Pixels that one latent patch of the transformer covers, each way."""


class StageSettingsError(ValueError):
    """`stage.json` says what no stage can do."""


@dataclass(frozen=True)
class Bucket:
    """A size of pictures that a stage is run at when it loads."""

    width: int
    """Pixels, a multiple of 16."""
    height: int
    """Pixels, a multiple of 16."""
    conditions: int = 0
    """Condition images beside the output, each as large."""

    def __str__(self) -> str:
        beside = f" with {self.conditions} condition images" if self.conditions else ""
        return f"{self.width}x{self.height}{beside}"


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """What `stage.json` may say; other keys are the exporter's own."""

    engine: str = "torch"
    precision: str = "auto"
    compile: bool = False
    warm_up: tuple[Bucket, ...] = ()

    @classmethod
    def read(cls, version: Path) -> StageSettings:
        """Read the settings of a version's folder.

        Without the file the engine is onnx where there is a graph and torch elsewhere.

        Raises:
            StageSettingsError: a value is not allowed, or two do not go together.
        """
        path = version / FILE
        if not path.exists():
            return cls(engine="onnx" if (version / "model.onnx").exists() else "torch")
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise StageSettingsError(f"{FILE} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise StageSettingsError(f"{FILE} is an object, got {found!r:.80}")
        settings = cls(
            engine=_choice(found, "engine", ENGINES, cls.engine),
            precision=_choice(found, "precision", PRECISIONS, cls.precision),
            compile=_flag(found, "compile"),
            warm_up=_buckets(found.get("warm_up", [])),
        )
        settings._check_engine()
        return settings

    def _check_engine(self) -> None:
        if self.engine != "onnx":
            return
        if self.precision not in ONNX_PRECISIONS:
            raise StageSettingsError(
                f"{FILE}: with engine onnx, precision is one of {', '.join(ONNX_PRECISIONS)}; "
                f"got {self.precision!r}"
            )
        if self.compile:
            raise StageSettingsError(f"{FILE}: with engine onnx, compile is false; got true")


def _choice(found: Mapping[str, Any], key: str, allowed: tuple[str, ...], default: str) -> str:
    value = found.get(key, default)
    if value not in allowed:
        message = f"{FILE}: {key} is one of {', '.join(allowed)}; got {value!r:.80}"
        raise StageSettingsError(message)
    return str(value)


def _flag(found: Mapping[str, Any], key: str) -> bool:
    value = found.get(key, False)
    if not isinstance(value, bool):
        raise StageSettingsError(f"{FILE}: {key} is true or false; got {value!r:.80}")
    return value


def _buckets(found: Any) -> tuple[Bucket, ...]:
    if not isinstance(found, list):
        raise StageSettingsError(f"{FILE}: warm_up is a list of sizes; got {found!r:.80}")
    return tuple(_bucket(entry) for entry in found)


def _bucket(entry: Any) -> Bucket:
    if not isinstance(entry, dict) or not {"width", "height"} <= entry.keys():
        raise StageSettingsError(
            f"{FILE}: an entry of warm_up has width, height and may have conditions; "
            f"got {entry!r:.80}"
        )
    for key in ("width", "height"):
        side = entry[key]
        if not _is_whole(side) or side <= 0 or side % SIDE_MULTIPLE:
            raise StageSettingsError(
                f"{FILE}: {key} in warm_up is a positive multiple of {SIDE_MULTIPLE}; "
                f"got {side!r:.80}"
            )
    conditions = entry.get("conditions", 0)
    if not _is_whole(conditions) or conditions < 0:
        message = f"{FILE}: conditions in warm_up is 0 or more; got {conditions!r:.80}"
        raise StageSettingsError(message)
    return Bucket(entry["width"], entry["height"], conditions)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
