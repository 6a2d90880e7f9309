"""The denoiser of Qwen-Image as an ONNX graph, in fp32.

ONNX has no complex numbers, and diffusers rotates by a complex table: here the graph holds the
table as cosines and sines, and takes the positions to read it at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import torch  # noqa: E402
from diffusers import QwenImageTransformer2DModel  # noqa: E402
from diffusers.models.transformers import transformer_qwenimage  # noqa: E402

from export_scripts.checked_graph import (  # noqa: E402
    ONE_FILE_MAX_BYTES,
    Inputs,
    compare_graph,
    write_graph,
)
from export_scripts.export_errors import ExportError  # noqa: E402
from qwen_serving.rope_positions import (  # noqa: E402
    TABLE_START,
    Shapes,
    condition_tokens,
    image_positions,
    text_positions,
)

_AXES = {
    "HIDDEN_STATES": (0, 1),
    "TIMESTEP": (0,),
    "ENCODER_HIDDEN_STATES": (0, 1),
    "TEXT_MASK": (0, 1),
    "IMAGE_POSITIONS": (0,),
    "TEXT_POSITIONS": (0,),
    "CONDITION_TOKENS": (0,),
}
_NOT_SUPPORTED = ("guidance_embeds", "use_additional_t_cond", "use_layer3d_rope")


def export_transformer(
    folder: Path, target: Path, *, one_file_max_bytes: int = ONE_FILE_MAX_BYTES
) -> float:
    """Write the graph and compare it with diffusers at shapes it was not traced at.

    Inputs of the graph: HIDDEN_STATES (B, n, C) packed latents, then those of the condition
    images; TIMESTEP (B) in 0..1; ENCODER_HIDDEN_STATES (B, L, D); TEXT_MASK (B, L) bool;
    IMAGE_POSITIONS (n, 3) and TEXT_POSITIONS (L) int64, see `rope_positions`;
    CONDITION_TOKENS (n) bool where the checkpoint has `zero_cond_t`. Output: NOISE_PRED
    (B, n, C).

    Args:
        folder: the transformer's folder in a checkpoint.
        target: `.onnx` file.
        one_file_max_bytes: weights of more bytes go to `NAME.onnx.data` beside the graph.

    Returns:
        The largest difference to diffusers.

    Raises:
        ExportError: the checkpoint is of a kind that has no graph here, or the graph differs.
    """
    network = QwenImageTransformer2DModel.from_pretrained(folder, dtype=torch.float32).eval()
    for name in _NOT_SUPPORTED:
        if network.config.get(name):
            raise ExportError(f"a transformer with {name} has no ONNX graph; use engine torch")
    traced_at = _example(network, [(1, 6, 4), (1, 2, 3)], lengths=(5, 3))
    with _traceable(network):
        write_graph(
            _RealTransformer(network),
            traced_at,
            target,
            output="NOISE_PRED",
            axes=_AXES,
            one_file_max_bytes=one_file_max_bytes,
        )
    return compare_graph(target, _cases(network))


class _RealTransformer(torch.nn.Module):
    """The network's parts in its own order, with positions in the place of picture shapes."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        rope = network.pos_embed
        widths = [width // 2 for width in rope.axes_dim]
        table = torch.cat([rope.neg_freqs, rope.pos_freqs])
        for axis, part in enumerate(table.split(widths, dim=1)):
            self.register_buffer(f"angles_{axis}", torch.view_as_real(part).contiguous())

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        text: torch.Tensor,
        mask: torch.Tensor,
        image_positions: torch.Tensor,
        text_positions: torch.Tensor,
        condition_tokens: torch.Tensor | None = None,
    ) -> torch.Tensor:
        network = self.network
        hidden_states = network.img_in(hidden_states)
        index = None
        if condition_tokens is not None:
            timestep = torch.cat([timestep, timestep * 0])
            index = condition_tokens[None].expand(hidden_states.shape[0], -1).int()
        text = network.txt_in(network.txt_norm(text))
        embedded = network.time_text_embed(timestep, hidden_states)
        rotation = self._angles(image_positions), self._angles(text_positions[:, None])
        for block in network.transformer_blocks:
            text, hidden_states = block(
                hidden_states=hidden_states,
                encoder_hidden_states=text,
                encoder_hidden_states_mask=mask,
                temb=embedded,
                image_rotary_emb=rotation,
                modulate_index=index,
            )
        if condition_tokens is not None:
            embedded = embedded[: embedded.shape[0] // 2]
        noise: torch.Tensor = network.proj_out(network.norm_out(hidden_states, embedded))
        return noise

    def _angles(self, positions: torch.Tensor) -> torch.Tensor:
        """(n, 3) positions, or (n, 1) for all axes -> (n, d / 2, 2) cosines and sines."""
        rows = positions.expand(-1, 3) - TABLE_START
        parts = [getattr(self, f"angles_{axis}")[rows[:, axis]] for axis in range(3)]
        return torch.cat(parts, dim=1)


def _rotate(x: torch.Tensor, angles: torch.Tensor, **_: object) -> torch.Tensor:
    """diffusers' rotation of (B, n, heads, d), in real numbers."""
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = angles[:, None].unbind(-1)
    rotated = [real * cosine - imaginary * sine, real * sine + imaginary * cosine]
    return torch.stack(rotated, dim=-1).flatten(3).type_as(x)


class _FirstHalf(torch.nn.Module):
    """A block's text modulation, where `zero_cond_t` has doubled the batch for the pictures."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, embedded: torch.Tensor) -> torch.Tensor:
        modulation: torch.Tensor = self.inner(embedded[: embedded.shape[0] // 2])
        return modulation


@contextmanager
def _traceable(network: Any) -> Iterator[None]:
    """Let diffusers' blocks rotate by `_rotate` and halve a batch by slicing, until the end."""
    original = transformer_qwenimage.apply_rotary_emb_qwen
    blocks = [block for block in network.transformer_blocks if block.zero_cond_t]
    try:
        transformer_qwenimage.apply_rotary_emb_qwen = _rotate
        for block in blocks:
            block.zero_cond_t, block.txt_mod = False, _FirstHalf(block.txt_mod)
        yield
    finally:
        transformer_qwenimage.apply_rotary_emb_qwen = original
        for block in blocks:
            block.zero_cond_t, block.txt_mod = True, block.txt_mod.inner


def _cases(network: Any) -> Iterator[tuple[Inputs, torch.Tensor]]:
    """One picture; a larger batch; condition images of other sizes; odd sides."""
    for shapes, lengths in (
        ([(1, 4, 4)], (7,)),
        ([(1, 8, 6)], (4, 11, 9)),
        ([(1, 5, 3), (1, 4, 7), (1, 2, 2)], (6, 2)),
    ):
        inputs = _example(network, shapes, lengths=lengths)
        with torch.no_grad():
            expected = network(
                hidden_states=inputs["HIDDEN_STATES"],
                timestep=inputs["TIMESTEP"],
                encoder_hidden_states=inputs["ENCODER_HIDDEN_STATES"],
                encoder_hidden_states_mask=inputs["TEXT_MASK"],
                img_shapes=[shapes] * len(lengths),
                return_dict=False,
            )[0]
        yield inputs, expected


def _example(network: Any, shapes: Shapes, *, lengths: tuple[int, ...]) -> Inputs:
    """Random inputs of the graph; texts of these lengths, padded to the longest."""
    seeded = torch.Generator().manual_seed(len(shapes))
    batch, longest = len(lengths), max(lengths)
    places = image_positions(shapes)
    config = network.config
    latents = (batch, len(places), config.in_channels)
    text = (batch, longest, config.joint_attention_dim)
    inputs = {
        "HIDDEN_STATES": torch.randn(latents, generator=seeded),
        "TIMESTEP": torch.rand(batch, generator=seeded),
        "ENCODER_HIDDEN_STATES": torch.randn(text, generator=seeded),
        "TEXT_MASK": torch.arange(longest)[None] < torch.tensor(lengths)[:, None],
        "IMAGE_POSITIONS": torch.from_numpy(places),
        "TEXT_POSITIONS": torch.from_numpy(text_positions(shapes, longest)),
    }
    if config.zero_cond_t:
        inputs["CONDITION_TOKENS"] = torch.from_numpy(condition_tokens(shapes))
    return inputs
