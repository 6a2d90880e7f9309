"""The language model of Qwen2.5-VL as an ONNX graph, in fp32.

The vision tower stays in torch: which patches share a window depends on the picture's size in
ways that a traced graph would freeze. Its output enters the graph as an input.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import torch  # noqa: E402
import transformers  # noqa: E402

from export_scripts.checked_graph import (  # noqa: E402
    ONE_FILE_MAX_BYTES,
    Inputs,
    compare_graph,
    write_graph,
)

_AXES = {"INPUT_IDS": (0, 1), "POSITIONS": (1, 2), "PICTURE_STATES": (0,)}


def export_text_encoder(
    folder: Path, target: Path, *, one_file_max_bytes: int = ONE_FILE_MAX_BYTES
) -> float:
    """Write the graph and compare it with transformers at shapes it was not traced at.

    Inputs of the graph: INPUT_IDS (B, L) int64; POSITIONS (3, B, L) int64, frame, row and column
    of every token, all three counting up for plain text; PICTURE_STATES (P, D) what the vision
    tower made, one row per picture token of the batch in reading order, or 1 row of anything
    where there is none. Output: HIDDEN_STATES (B, L, D) after the final norm.

    Args:
        folder: the text encoder's folder in a checkpoint.
        target: `.onnx` file.
        one_file_max_bytes: weights of more bytes go to `NAME.onnx.data` beside the graph.

    Returns:
        The largest difference to transformers.

    Raises:
        ExportError: the network cannot be traced, or the graph differs.
    """
    config = json.loads((folder / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    network = cls.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, attn_implementation="sdpa"
    ).eval()
    # The head is not run, and would be half of what is compared with the limit of one file.
    module = _LanguageModel(network.model.language_model, network.config.image_token_id)
    write_graph(
        module,
        _example(network, batch=3, length=7, pictures=2),
        target,
        output="HIDDEN_STATES",
        axes=_AXES,
        one_file_max_bytes=one_file_max_bytes,
    )
    return compare_graph(target, _cases(network))


class _LanguageModel(torch.nn.Module):
    def __init__(self, network: Any, picture_token: int) -> None:
        super().__init__()
        self.network = network
        self.picture_token = picture_token

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, picture_states: torch.Tensor
    ) -> torch.Tensor:
        embedded = self.network.embed_tokens(ids)
        is_picture = ids == self.picture_token
        # The n-th picture token of the batch takes the n-th row.
        row = (is_picture.flatten().long().cumsum(0) - 1).clamp(min=0).view_as(ids)
        embedded = torch.where(is_picture[..., None], picture_states[row], embedded)
        states: torch.Tensor = self.network(
            inputs_embeds=embedded,
            position_ids=positions,
            attention_mask=_causal(embedded),
            use_cache=False,
        ).last_hidden_state
        return states


def _causal(embedded: torch.Tensor) -> dict[str, torch.Tensor]:
    """Masks as the network makes them itself where nothing is padded; its own froze the length."""
    order = torch.arange(embedded.shape[1], device=embedded.device)
    mask = (order[None, :] <= order[:, None])[None, None]
    return {"full_attention": mask.expand(embedded.shape[0], 1, -1, -1)}


def _cases(network: Any) -> Iterator[tuple[Inputs, torch.Tensor]]:
    for batch, length, pictures in ((1, 19, 0), (2, 40, 3), (4, 11, 4)):
        inputs = _example(network, batch=batch, length=length, pictures=pictures)
        ids = inputs["INPUT_IDS"]
        with torch.no_grad():
            embedded = network.model.language_model.embed_tokens(ids)
            is_picture = (ids == network.config.image_token_id)[..., None]
            embedded = embedded.masked_scatter(is_picture, inputs["PICTURE_STATES"])
            expected = network.model.language_model(
                inputs_embeds=embedded,
                position_ids=inputs["POSITIONS"],
                attention_mask=torch.ones_like(ids),
                use_cache=False,
            ).last_hidden_state
        yield inputs, expected


def _example(network: Any, *, batch: int, length: int, pictures: int) -> Inputs:
    """Random ids, of which `pictures` in each text stand for parts of a picture."""
    config = network.config
    seeded = torch.Generator().manual_seed(length)
    ids = torch.randint(0, 256, (batch, length), generator=seeded)
    ids[:, 1 : 1 + pictures] = config.image_token_id
    positions = torch.arange(length).expand(3, batch, length).clone()
    positions[1:, :, 1 : 1 + pictures] += torch.arange(2)[:, None, None]
    rows = (max(1, batch * pictures), config.text_config.hidden_size)
    return {
        "INPUT_IDS": ids,
        "POSITIONS": positions,
        "PICTURE_STATES": torch.randn(rows, generator=seeded),
    }
