"""Seconds per forward of the real Qwen-Image transformer's shapes, with random weights.

    python -m benchmarks.gpu_qwen                              # one CUDA GPU with 48 GB or more
    python -m benchmarks.gpu_qwen --device cpu --layers 1 --sides 64 --rounds 2   # does it run?

Needs torch, diffusers and a GPU; no network, no checkpoint. Time does not depend on the weights.
Every variant is compared with the floor, the FLOPs of a forward over the speed of an 8192-cubed
matrix product measured in the same run, and with plain diffusers: its own class in bfloat16,
nothing compiled, the halves of classifier-free guidance one after the other. The stage sends them
as one pass of two rows and compiles block by block. fp8 is torch's own scaled product on every
large linear layer, row-wise scales, activations quantised on the fly. What serving costs beside
the same network in process: `qwen_batching.py --published-width`.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import torch

from qwen_serving import torchvision_ops

torchvision_ops.declare()

from diffusers import QwenImageTransformer2DModel  # noqa: E402

WIDTH, LAYERS, TEXT_WIDTH = 3072, 60, 3584
"""Of the published checkpoint: 24 heads of 128, 60 dual-stream blocks, Qwen2.5-VL's width."""

_COMPARED = ("of the floor", "speed / plain diffusers")


@dataclass(frozen=True)
class Variant:
    """One way to run the network."""

    side: int
    precision: str
    compiled: str
    """no; blocks, as the stage does it; or whole."""
    rows: int
    """Of a pass: 2 for both halves of guidance at once."""


def forward_tflop(side: int, text_tokens: int, layers: int = LAYERS) -> float:
    """FLOPs of one forward in 1e12: 24 d^2 N L of linear layers and 4 d N^2 L of attention.

    >>> round(forward_tflop(1024, 128), 1)
    70.6
    """
    tokens = (side // 16) ** 2 + text_tokens
    linear = 24 * WIDTH**2 * tokens * layers
    attention = 4 * WIDTH * tokens**2 * layers
    return (linear + attention) / 1e12


def build(layers: int, device: torch.device) -> Any:
    """The network with small random weights, made on the device in bfloat16."""
    with torch.device("meta"):
        network = QwenImageTransformer2DModel(num_layers=layers)
    network = network.to(torch.bfloat16).to_empty(device=device).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    # The rotary tables are no parameters: made anew, since those of the meta device are empty.
    fresh = QwenImageTransformer2DModel(num_layers=0).pos_embed
    network.pos_embed = fresh.to(device)
    return network


class ScaledLinear(torch.nn.Module):
    """A linear layer in float8 e4m3 with a scale per row; activations are quantised on the fly."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight, scale = _quantise(linear.weight.detach())
        self.register_buffer("weight", weight.t())
        self.register_buffer("scale", scale.t())
        self.bias = linear.bias

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As the linear layer, to float8's precision."""
        rows, scale = _quantise(values.flatten(0, -2))
        product = torch._scaled_mm(
            rows, self.weight, scale_a=scale, scale_b=self.scale, bias=self.bias,
            out_dtype=torch.bfloat16,
        )  # fmt: skip
        return product.unflatten(0, values.shape[:-1])


def use_float8(network: torch.nn.Module) -> None:
    """Replace the blocks' linear layers in place; the small ones around them stay."""
    for module in network.transformer_blocks.modules():  # type: ignore[union-attr, operator]
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and child.in_features >= 1024:
                setattr(module, name, ScaledLinear(child))


def _quantise(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    largest = torch.finfo(torch.float8_e4m3fn).max
    scale = values.abs().amax(-1, keepdim=True).float().clamp_min(1e-12) / largest
    return (values / scale).to(torch.float8_e4m3fn), scale


def measure(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median seconds after three warm-ups."""
    seconds = []
    for index in range(rounds + 3):
        _settle(device)
        started = time.perf_counter()
        run()
        _settle(device)
        if index >= 3:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def peak_tflops(device: torch.device) -> float:
    """Speed of an 8192-cubed bfloat16 matrix product (1024-cubed off the GPU)."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    return 2 * side**3 / measure(lambda: a @ a, device, 10) / 1e12


def results(options: argparse.Namespace) -> Iterator[tuple[Variant, float]]:
    """Variant and seconds per row; the first of a side is plain diffusers."""
    device = torch.device(options.device)
    network = build(options.layers, device)
    precisions = ["bf16", "fp8"] if device.type == "cuda" else ["bf16"]
    for precision in precisions:
        if precision == "fp8":
            use_float8(network)
        for compiled, call in _calls(network, compiles=options.compile):
            for side, rows in itertools.product(options.sides, (1, 2)):
                inputs = _inputs(side, options.text_tokens, device, rows)
                with torch.inference_mode():
                    seconds = measure(lambda c=call, i=inputs: c(**i), device, options.rounds)  # type: ignore[misc]
                yield Variant(side, precision, compiled, rows), seconds / rows


def _calls(network: Any, *, compiles: bool) -> Iterator[tuple[str, Callable[..., object]]]:
    """Name and network; those compiled share the weights."""
    yield "no", network
    if not compiles:
        return
    yield "whole", torch.compile(network)
    with torch.fx.experimental._config.patch(use_duck_shape=False):
        network.compile_repeated_blocks(dynamic=True)
        yield "blocks", network
    for block in network.transformer_blocks:
        block._compiled_call_impl = None


def _inputs(side: int, text_tokens: int, device: torch.device, rows: int) -> dict[str, Any]:
    patches = side // 16
    kind = {"device": device, "dtype": torch.bfloat16}
    return {
        "hidden_states": torch.randn(rows, patches * patches, 64, **kind),
        "timestep": torch.full((rows,), 0.5, **kind),
        "encoder_hidden_states": torch.randn(rows, text_tokens, TEXT_WIDTH, **kind),
        "img_shapes": [[(1, patches, patches)]] * rows,
        "return_dict": False,
    }


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--text-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    device = torch.device(options.device)
    peak = peak_tflops(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, bf16 matrix product {peak:.1f} TFLOP/s\n")
    print(_row("side", "precision", "compiled", "rows", "s per row", "floor s", *_COMPARED))
    print(_row(*["---"] * 8))
    plain: dict[int, float] = {}
    for variant, seconds in results(options):
        plain.setdefault(variant.side, seconds)
        floor = forward_tflop(variant.side, options.text_tokens, options.layers) / peak
        compared = (f"{floor / seconds:.0%}", f"{plain[variant.side] / seconds:.2f}x")
        print(_row(*astuple(variant), f"{seconds:.4f}", f"{floor:.4f}", *compared), flush=True)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
