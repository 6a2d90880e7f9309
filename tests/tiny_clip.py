"""A tiny CLIP checkpoint with seeded random weights, as transformers would save it."""

from __future__ import annotations

from pathlib import Path

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import torch  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402
from transformers import (  # noqa: E402
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
)

WORDS = [
    "<|startoftext|>",
    "<|endoftext|>",
    "<unk>",
    "a",
    "the",
    "red",
    "blue",
    "cup",
    "disc",
    "photo",
]


def save_tiny_clip(folder: Path) -> None:
    """Of 32 x 32 pixels, 16 tokens and 8 dimensions."""
    torch.manual_seed(0)
    small = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        **small,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 16,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = {**small, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token=WORDS[2]))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 0), ("<|endoftext|>", 1)],
    )
    start, end, unknown = WORDS[:3]
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token=start, eos_token=end, pad_token=end, unk_token=unknown
    )
