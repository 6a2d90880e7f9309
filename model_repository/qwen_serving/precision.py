"""The numbers that a torch network computes in, and weights of 8 bits.

Quantised are the linear layers of attention and feed-forward inside the blocks. Norms, embeddings
and the last projection keep the full type, and so do LoRA adapters and the transformer's
modulation: on a small random transformer it added a quarter to the error.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from qwen_serving.stage_settings import QUANTISED

FP8_MIN_CAPABILITY = (8, 9)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_FP8_MULTIPLE = 16
"""Both sides of a matrix that the fp8 kernels take."""


class PrecisionError(ValueError):
    """The device or the stage cannot compute in the precision that was asked for."""


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """What activations and unquantised weights are in.

    That is what the name says; for auto, fp8 and int8 it is bf16 on a GPU, else fp32.
    """
    return _DTYPES.get(precision, torch.bfloat16 if device.type == "cuda" else torch.float32)


def check_precision(precision: str, device: torch.device, *, quantises: bool) -> None:
    """Find out before the weights are read whether a precision can be served.

    Args:
        precision: of `stage_settings.PRECISIONS`.
        device: where the stage runs.
        quantises: whether the stage has blocks that may be quantised.

    Raises:
        PrecisionError: it cannot.
    """
    if precision not in QUANTISED:
        return
    if not quantises:
        raise PrecisionError(
            f"precision {precision} is for transformers and text encoders; "
            f"use auto, bf16, fp16 or fp32 here"
        )
    if precision != "fp8":
        return
    needed = ".".join(map(str, FP8_MIN_CAPABILITY))
    if device.type != "cuda":
        message = f"precision fp8 needs a GPU of compute capability {needed} or more, got the CPU"
        raise PrecisionError(message)
    capability = torch.cuda.get_device_capability(device)
    if capability < FP8_MIN_CAPABILITY:
        actual = ".".join(map(str, capability))
        raise PrecisionError(
            f"precision fp8 needs a GPU of compute capability {needed} or more, got {actual}"
        )


def quantise(network: Any, precision: str, device: torch.device, *, layers: str) -> None:
    """Turn the weights of a network's blocks into 8 bits, in place; adapters come before.

    Layer by layer on `device`, so that the full network need not fit there. int8: weights alone,
    a scale per row. fp8: weights and activations, a scale per row.

    Args:
        network: with the adapters that it will have.
        precision: nothing happens unless it is fp8 or int8.
        device: where the network runs.
        layers: pattern that the start of the names of the layers matches.

    Raises:
        PrecisionError: torchao is not installed, or no layer matches.
    """
    if precision not in QUANTISED:
        return
    try:
        from torchao.quantization import quantize_
    except ImportError as error:
        message = f"precision {precision} needs torchao (extra quantised): {error}"
        raise PrecisionError(message) from error
    start = re.compile(layers)
    count = 0

    def is_meant(module: torch.nn.Module, name: str) -> bool:
        nonlocal count
        meant = (
            isinstance(module, torch.nn.Linear)
            and start.match(name) is not None
            and "lora_" not in name
            and (precision != "fp8" or not any(n % _FP8_MULTIPLE for n in module.weight.shape))
        )
        count += meant
        return meant

    quantize_(network, _config(precision), filter_fn=is_meant, device=device)
    if not count:
        raise PrecisionError(f"no layer of the network can be quantised to {precision}")


def _config(precision: str) -> Any:
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Int8WeightOnlyConfig,
        PerRow,
    )

    if precision == "int8":
        return Int8WeightOnlyConfig()
    return Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())
