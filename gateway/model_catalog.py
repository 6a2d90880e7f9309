"""What the models said of themselves when they last answered a canary."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gateway.inference import ModelHealth


@dataclass(frozen=True)
class ModelDefaults:
    """Parameters of a pipeline model when a request names none."""

    size_wh: tuple[int, int]
    num_inference_steps: int
    true_cfg_scale: float
    size_multiple: int = 16
    """Pixels in steps of which the model makes pictures."""

    @property
    def area(self) -> int:
        """Pixels of a picture when a request names no size."""
        return self.size_wh[0] * self.size_wh[1]


class ModelCatalog:
    """Health of every model, written by the supervisor, read by routes and use cases."""

    def __init__(self) -> None:
        self._health: dict[str, ModelHealth] = {}
        self._checked_at: float | None = None
        self.rounds = 0
        """Canary rounds so far."""

    def update(self, health: list[ModelHealth]) -> None:
        """Replace all entries by those of one canary round."""
        self._health = {entry.name: entry for entry in health}
        self._checked_at = time.monotonic()
        self.rounds += 1

    @property
    def models(self) -> list[ModelHealth]:
        """All models, in the order of the last round."""
        return list(self._health.values())

    def get(self, model: str) -> ModelHealth | None:
        """The last entry of a model."""
        return self._health.get(model)

    @property
    def age_s(self) -> float | None:
        """Seconds since the last round; None before the first."""
        return None if self._checked_at is None else time.monotonic() - self._checked_at

    @property
    def ready(self) -> bool:
        """Whether every model answered its last canary."""
        return bool(self._health) and all(entry.ready for entry in self._health.values())

    def adapters(self, model: str) -> tuple[str, ...]:
        """Names of the LoRA adapters that a pipeline model has."""
        entry = self._health.get(model)
        return tuple(entry.manifest.get("adapters") or ()) if entry else ()

    def defaults(self, model: str) -> ModelDefaults | None:
        """Defaults of a pipeline model; None while it is not ready."""
        entry = self._health.get(model)
        if entry is None or not entry.ready:
            return None
        width, height = entry.manifest["default_size"]
        return ModelDefaults(
            size_wh=(width, height),
            num_inference_steps=entry.manifest["default_num_inference_steps"],
            true_cfg_scale=entry.manifest["default_true_cfg_scale"],
            size_multiple=entry.manifest.get("size_multiple", 16),
        )
