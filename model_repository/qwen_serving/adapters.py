"""LoRA adapters of a denoiser: resident, switched between forward passes, never fused.

Fusing and unfusing leaves rounding behind in the weights; switching does not, so the base model
stays equal to itself bit for bit. Which adapters are on is state of the whole network: a forward
pass has one set of them, and a batch is split by set.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WEIGHTS = "pytorch_lora_weights.safetensors"
AdapterSet = tuple[tuple[str, float], ...]
"""Names and scales, sorted by name, none of scale 0; empty for the base model."""


class AdapterMismatchError(RuntimeError):
    """The network is not set to the adapters of the request that is about to run."""


def read_adapters(text: str) -> dict[str, float | None]:
    """Scales by name out of an ADAPTERS input; null asks for the adapter's default scale.

    Raises:
        ValueError: not a JSON object of finite numbers.
    """
    try:
        wanted = json.loads(text) if text.strip() else {}
        return {name: _scale(value) for name, value in wanted.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        message = f'adapters are a JSON object like {{"name": 1.0}}, got {text[:200]!r}'
        raise ValueError(message) from None


def _scale(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


class Adapters:
    """The adapters of one network, for one thread: Triton enters an instance once at a time."""

    def __init__(self, network: Any, folder: Path) -> None:
        """Load every adapter of `folder`, each a folder of its own; that may be none.

        Raises:
            ValueError: an adapter fits no layer of the network.
        """
        self._network = network
        self._defaults: dict[str, float] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            _load(network, path)
            self._defaults[path.name] = _default_scale(path)
        self._layers = _adapted_layers(network) if self._defaults else []
        self.activate(())

    @property
    def names(self) -> list[str]:
        """Adapters that a request may ask for."""
        return list(self._defaults)

    def resolve(self, wanted: Mapping[str, float | None]) -> AdapterSet:
        """The set that a request asks for; requests of equal sets can share a forward pass.

        Raises:
            ValueError: an adapter is unknown; the message names those known.
        """
        unknown = sorted(wanted.keys() - self._defaults.keys())
        if unknown:
            known = ", ".join(self._defaults) or "none"
            raise ValueError(f"there is no adapter {unknown[0][:80]!r}; there are: {known}")
        scales = {
            name: self._defaults[name] if scale is None else scale for name, scale in wanted.items()
        }
        return tuple(sorted((name, scale) for name, scale in scales.items() if scale != 0))

    def activate(self, chosen: AdapterSet) -> None:
        """Switch the network to a set; does nothing where it is on already."""
        if self._is_active(chosen):
            return
        if not chosen:
            self._network.disable_lora()
            return
        self._network.enable_lora()
        self._network.set_adapters(
            [_inside(name) for name, _ in chosen], [scale for _, scale in chosen]
        )

    def verify(self, chosen: AdapterSet) -> None:
        """Read back from every layer what it will apply; call right before the forward pass.

        Raises:
            AdapterMismatchError: a layer would apply anything else than `chosen`.
        """
        if not self._is_active(chosen):
            raise AdapterMismatchError(f"the network is not set to the adapters {dict(chosen)}")

    def _is_active(self, chosen: AdapterSet) -> bool:
        scales = {_inside(name): scale for name, scale in chosen}
        return all(_applies(layer, scales, unscaled) for layer, unscaled in self._layers)


def _load(network: Any, folder: Path) -> None:
    """As a pipeline's `load_lora_weights`, which knows the formats of other trainers too."""
    from diffusers import QwenImagePipeline

    state, metadata = QwenImagePipeline.lora_state_dict(
        folder, weight_name=WEIGHTS, local_files_only=True, return_lora_metadata=True
    )
    name = _inside(folder.name)
    with warnings.catch_warnings():
        # peft's, from the second adapter on: several are what is wanted here.
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
        QwenImagePipeline.load_lora_into_transformer(
            state, transformer=network, adapter_name=name, metadata=metadata
        )
    if name not in getattr(network, "peft_config", {}):
        raise ValueError(f"adapter {folder.name} fits no layer of the transformer")
    network.eval()


def _inside(name: str) -> str:
    """What an adapter is called in the network: peft takes no names like `type` or `keys`."""
    return f"adapter-{name}"


def _default_scale(folder: Path) -> float:
    details = folder / "adapter.json"
    if not details.is_file():
        return 1.0
    return float(json.loads(details.read_text()).get("default_scale", 1.0))


def _adapted_layers(network: Any) -> list[tuple[Any, dict[str, float]]]:
    """Layers that adapters change, each with its adapters' factors at scale 1 (alpha / rank)."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers: list[Any] = [m for m in network.modules() if isinstance(m, BaseTunerLayer)]
    return [(layer, dict(layer.scaling)) for layer in layers]


def _applies(layer: Any, scales: Mapping[str, float], unscaled: Mapping[str, float]) -> bool:
    """Whether a layer, as it is, applies these adapters at these scales and no other."""
    active = [] if layer.disable_adapters else layer.active_adapters
    found = {name: layer.scaling[name] for name in active if name in unscaled}
    wanted = {name: scale * unscaled[name] for name, scale in scales.items() if name in unscaled}
    return (
        not layer.merged
        and found.keys() == wanted.keys()
        and all(math.isclose(found[name], factor) for name, factor in wanted.items())
    )
