"""LoRA adapters with random weights, as a trainer saves them and the exporter places them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import torch  # noqa: E402
from diffusers import QwenImagePipeline, QwenImageTransformer2DModel  # noqa: E402
from peft import LoraConfig, get_peft_model_state_dict  # noqa: E402

TARGETS = {
    "removal": ["to_q", "to_k", "to_v", "to_out.0"],
    "lightning": ["to_q", "add_q_proj", "add_k_proj", "proj_out"],
    "white-balance": ["img_mlp.net.2", "to_v"],
}
"""Layers by adapter: some are shared, some are one adapter's own."""
WEIGHTS = "pytorch_lora_weights.safetensors"


def save_random_adapters(transformer: Path, *, alpha: int) -> None:
    """Put the adapters of `TARGETS`, of rank 4, beside the weights of a transformer.

    Args:
        transformer: folder of the weights.
        alpha: how much they change; scale 1 multiplies by alpha / 4.
    """
    for seed, (name, targets) in enumerate(TARGETS.items()):
        _save_random_adapter(transformer, name, targets, seed=seed, alpha=alpha)


def _save_random_adapter(
    transformer: Path, name: str, targets: list[str], *, seed: int, alpha: int
) -> None:
    network = QwenImageTransformer2DModel.from_pretrained(transformer)
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=alpha, init_lora_weights=False, target_modules=targets)
    network.add_adapter(config)
    QwenImagePipeline.save_lora_weights(
        transformer / "adapters" / name,
        transformer_lora_layers=get_peft_model_state_dict(network),
        transformer_lora_adapter_metadata=network.peft_config["default"].to_dict(),
    )


def with_adapters(transformer: Path, adapters: dict[str, float]) -> Any:
    """A fresh transformer in plain diffusers with exactly these adapters."""
    network = QwenImageTransformer2DModel.from_pretrained(transformer)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
        for name in adapters:
            folder = transformer / "adapters" / name
            network.load_lora_adapter(folder, adapter_name=name, weight_name=WEIGHTS)
    if adapters:
        network.set_adapters(list(adapters), list(adapters.values()))
    return network.eval()
