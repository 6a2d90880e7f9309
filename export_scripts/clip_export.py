"""A CLIP checkpoint becomes the models `clip_text` and `clip_image`, which text prompts need."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from export_scripts.checked_graph import compare_graph, write_graph
from export_scripts.export_errors import ExportError
from export_scripts.fastsam_graph import describe

TEXT_MODEL, IMAGE_MODEL = "clip_text", "clip_image"
_ENTRY_POINT = '''"""Triton's entry point; the code is in `mask_serving/`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mask_serving.clip import {cls} as TritonPythonModel

__all__ = ["TritonPythonModel"]
'''
_CONFIG = """# {what}
name: "{name}"
backend: "python"
max_batch_size: 16
input [
  {{ name: "{input}" data_type: {type} dims: [ {dims} ] }}
]
output [
  {{ name: "EMBEDDING" data_type: TYPE_FP32 dims: [ {width} ] }}
]
dynamic_batching {{ max_queue_delay_microseconds: 0 }}
instance_group [{{ kind: KIND_AUTO count: 1 }}]
"""


class ServedText(torch.nn.Module):
    """INPUT_IDS int64 (B, L) -> unit vectors (B, D)."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.text_model, self.projection = clip.text_model, clip.text_projection

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Embed texts."""
        pooled = self.text_model(input_ids=input_ids).pooler_output
        return torch.nn.functional.normalize(self.projection(pooled), dim=-1)


class ServedImage(torch.nn.Module):
    """IMAGES uint8 (B, S, S, 3) RGB -> unit vectors (B, D); scaling is part of the graph."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, clip: Any, processor: Any) -> None:
        super().__init__()
        self.vision_model, self.projection = clip.vision_model, clip.visual_projection
        self.register_buffer("mean", torch.tensor(processor.image_mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(processor.image_std).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed pictures."""
        pixels = (images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        pooled = self.vision_model(pixel_values=pixels).pooler_output
        return torch.nn.functional.normalize(self.projection(pooled), dim=-1)


def export_clip(source: str, repository: Path) -> dict[str, float]:
    """Write both models in place of those that are there, under the next version number.

    Args:
        source: folder of a transformers CLIP checkpoint with its tokenizer and processor, or a
            hub id such as openai/clip-vit-base-patch32.
        repository: Triton's model repository.

    Returns:
        The largest difference to torch, by model.

    Raises:
        ExportError: it is no such checkpoint, or a graph is not the network.
    """
    if not (repository / "fastsam" / "config.pbtxt").exists():
        raise ExportError(
            f"{repository} is no model repository. Make one with: retouch-export init {repository}"
        )
    clip, tokenizer, processor = _load(source)
    drafts = repository / ".versions" / "clip" / "draft"
    shutil.rmtree(drafts, ignore_errors=True)
    try:
        differences = {
            TEXT_MODEL: _write_text(clip, tokenizer, drafts / TEXT_MODEL),
            IMAGE_MODEL: _write_image(clip, processor, drafts / IMAGE_MODEL),
        }
        for name in differences:
            _replace(drafts / name, repository / name)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)
    return differences


def _replace(draft: Path, target: Path) -> None:
    """A number of its own for the new version tells the gateway that the network is another one."""
    versions = [int(path.name) for path in target.glob("[0-9]*") if path.name.isdigit()]
    (draft / "1").rename(draft / str(max(versions, default=0) + 1))
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def _load(source: str) -> tuple[Any, Any, Any]:
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    try:
        clip = CLIPModel.from_pretrained(source, attn_implementation="eager").float().eval()
        return (
            clip,
            AutoTokenizer.from_pretrained(source),
            AutoImageProcessor.from_pretrained(source),
        )
    except Exception as error:
        raise ExportError(f"{source} is no CLIP checkpoint of transformers: {error}") from error


def _write_text(clip: Any, tokenizer: Any, folder: Path) -> float:
    length = clip.config.text_config.max_position_embeddings
    inputs = {"INPUT_IDS": torch.tensor(_tokens(tokenizer, ["a cup", "a red house"], length))}
    difference = _write_graph(ServedText(clip), inputs, folder)
    plain = tokenizer.backend_tokenizer
    plain.enable_truncation(length)
    plain.enable_padding(
        length=length, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token
    )
    plain.save(str(folder / "1" / "tokenizer.json"))
    _write_config(folder, "CLIP's text half: a text as a unit vector.", clip, "TEXT", "STRING", "1")
    return difference


def _tokens(tokenizer: Any, texts: list[str], length: int) -> Any:
    return tokenizer(texts, padding="max_length", truncation=True, max_length=length)["input_ids"]


def _write_image(clip: Any, processor: Any, folder: Path) -> float:
    side = clip.config.vision_config.image_size
    pictures = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    difference = _write_graph(ServedImage(clip, processor), {"IMAGES": pictures}, folder)
    describe(folder / "1" / "model.onnx", {"image_size": str(side)})
    what = "CLIP's image half: a picture as a unit vector."
    _write_config(folder, what, clip, "IMAGES", "UINT8", f"{side}, {side}, 3")
    return difference


def _write_graph(module: torch.nn.Module, inputs: dict[str, torch.Tensor], folder: Path) -> float:
    (folder / "1").mkdir(parents=True)
    graph = folder / "1" / "model.onnx"
    (name,) = inputs
    write_graph(module, inputs, graph, output="EMBEDDING", axes={name: (0,)})
    with torch.inference_mode():
        cases = [
            ({name: value}, module(value))
            for value in (
                inputs[name],
                inputs[name][:1],
                inputs[name].repeat(2, *[1] * (inputs[name].ndim - 1)),
            )
        ]
    return compare_graph(graph, cases)


def _write_config(folder: Path, what: str, clip: Any, name: str, kind: str, dims: str) -> None:
    cls = "ClipTextModel" if name == "TEXT" else "ClipImageModel"
    (folder / "1" / "model.py").write_text(_ENTRY_POINT.format(cls=cls))
    config = _CONFIG.format(
        what=what,
        name=folder.name,
        input=name,
        type=f"TYPE_{kind}",
        dims=dims,
        width=clip.config.projection_dim,
    )
    (folder / "config.pbtxt").write_text(config)
