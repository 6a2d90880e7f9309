"""A tiny checkpoint of the 2.x line (QwenImage21Pipeline) with seeded random weights, for tests.

Real classes, the VAE's factor of 16 and its alpha channel; the tokenizer is that of the other tiny
checkpoints. Like theirs, such a model proves the plumbing, not the picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import torch  # noqa: E402
from diffusers import (  # noqa: E402
    AutoencoderKLQwenImage21,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
)
from transformers import (  # noqa: E402
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (  # noqa: E402
    Qwen2VLImageProcessorPil,
)
from transformers.models.qwen3_vl.video_processing_qwen3_vl import (  # noqa: E402
    Qwen3VLVideoProcessor,
)

from export_scripts.demo_qwen import build_scheduler, build_tokenizer  # noqa: E402

Z = 8
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{{ part.text }}{% endfor %}<|im_end|>\n{% endfor %}"
)


def save_single_stream_checkpoint(
    folder: Path, *, seed: int = 0, sigmas: list[float] | None = None
) -> None:
    """Write a tiny Qwen-Image 2.x checkpoint in the hub's layout.

    Args:
        folder: to write to.
        seed: of the weights.
        sigmas: steps that the author of a checkpoint may fix.
    """
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessorPil(
            min_pixels=32 * 32,
            max_pixels=32 * 32 * 1280,
            patch_size=16,
            merge_size=2,
            temporal_patch_size=2,
        ),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(),
        chat_template=_CHAT_TEMPLATE,
    )
    pipeline = QwenImage21Pipeline(
        scheduler=build_scheduler(),
        vae=_vae(),
        text_encoder=_text_encoder(tokenizer),
        processor=processor,
        transformer=_transformer(),
        sample_sigmas=sigmas,
    )
    pipeline.save_pretrained(folder)


def _vae() -> Any:
    return AutoencoderKLQwenImage21(
        base_dim=8,
        decoder_base_dim=8,
        z_dim=Z,
        dim_mult=[1, 1, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=[0.0] * Z,
        latents_std=[1.0] * Z,
    ).eval()


def _transformer() -> Any:
    return QwenImage21Transformer2DModel(
        in_channels=Z,
        out_channels=Z,
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        context_in_dim=32,
        axes_dims_rope=(8, 12, 12),
    ).eval()


def _text_encoder(tokenizer: Any) -> Any:
    token = tokenizer.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "vocab_size": len(tokenizer) + 16,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [2, 3, 3],
                "mrope_interleaved": True,
            },
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    return Qwen3VLForConditionalGeneration(config).eval()
