"""Tiny Qwen-Image checkpoints of the true architecture with seeded random weights.

Real diffusers and transformers classes, the real VAE's factor of 8, and a tokenizer under which
the pipelines' prompt templates have the lengths they have under the real vocabulary (34 and 64
tokens), so that the prefixes the pipelines cut off end where they should. The weights are
random: such a model proves the plumbing, not the picture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import torch  # noqa: E402
from diffusers import (  # noqa: E402
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from tokenizers import (  # noqa: E402
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import (  # noqa: E402
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLProcessor,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX  # noqa: E402
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (  # noqa: E402
    Qwen2VLImageProcessorPil,
)
from transformers.models.qwen2_vl.video_processing_qwen2_vl import (  # noqa: E402
    Qwen2VLVideoProcessor,
)

GENERATION_PREFIX_TOKENS = 34
EDIT_PREFIX_TOKENS = 64
_GENERATION_PREFIX = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, "
    "quantity, text, spatial relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n"
)
_EDIT_PREFIX = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, "
    "texture, objects, background), then explain how the user's text instruction should alter or "
    "modify the image. Generate a new image that meets the user's requirements while maintaining "
    "consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n"
)
_SAMPLE_PROMPT = (
    "Picture 1: Picture 2: Picture 3: assistant\n a photo of a red cat and a dog, remove add "
    "insert the object, fix white balance, on a table in the street"
)
_SPECIAL_TOKENS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip


def save_generation_checkpoint(folder: Path, *, seed: int = 0) -> None:
    """Write a tiny Qwen-Image checkpoint in the hub's layout."""
    tokenizer = build_tokenizer()
    modules = _shared_modules(tokenizer, seed)
    transformer = _transformer(seed + 1)
    QwenImagePipeline(transformer=transformer, **modules).save_pretrained(folder)


def save_edit_checkpoint(folder: Path, *, seed: int = 0) -> None:
    """Write a tiny Qwen-Image-Edit-Plus checkpoint; text encoder and VAE equal the other's."""
    tokenizer = build_tokenizer()
    modules = _shared_modules(tokenizer, seed)
    transformer = _transformer(seed + 2)
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessorPil(
            min_pixels=56 * 56,
            max_pixels=28 * 28 * 1280,
            patch_size=14,
            merge_size=2,
            temporal_patch_size=2,
        ),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
    )
    pipeline = QwenImageEditPlusPipeline(transformer=transformer, processor=processor, **modules)
    pipeline.save_pretrained(folder)


def build_tokenizer() -> Any:
    """A byte-level BPE with Qwen2's pre-tokenizer, its merges learnt on the prompt templates.

    Raises:
        RuntimeError: a template prefix did not come out at its known length.
    """
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator(_corpus(), trainer)
    learnt = json.loads(bpe.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learnt["vocab"],
        merges=[tuple(m if isinstance(m, list) else m.split(" ")) for m in learnt["merges"]],
        additional_special_tokens=_SPECIAL_TOKENS[1:],
        model_max_length=131072,
        padding_side="right",
    )
    lengths = tuple(
        len(tokenizer(text)["input_ids"]) for text in (_GENERATION_PREFIX, _EDIT_PREFIX)
    )
    if lengths != (GENERATION_PREFIX_TOKENS, EDIT_PREFIX_TOKENS):
        raise RuntimeError(f"the template prefixes are {lengths} tokens long, not 34 and 64")
    return tokenizer


def _corpus() -> list[str]:
    plain = [
        text.replace("<|im_start|>", "").replace("<|im_end|>", "\n")
        for text in (_GENERATION_PREFIX, _EDIT_PREFIX)
    ]
    return [*plain, _SAMPLE_PROMPT] * 50


def _shared_modules(tokenizer: Any, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    return {
        "scheduler": build_scheduler(),
        "vae": _vae(),
        "text_encoder": _text_encoder(tokenizer),
        "tokenizer": tokenizer,
    }


def build_scheduler() -> Any:
    """The settings of Qwen-Image's own scheduler_config.json."""
    return FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256,
        base_shift=0.5,
        invert_sigmas=False,
        max_image_seq_len=8192,
        max_shift=0.9,
        num_train_timesteps=1000,
        shift=1.0,
        shift_terminal=0.02,
        stochastic_sampling=False,
        time_shift_type="exponential",
        use_dynamic_shifting=True,
    )


def _vae() -> Any:
    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 16,
        latents_std=[1.0] * 16,
    ).eval()


def _transformer(seed: int) -> Any:
    torch.manual_seed(seed)
    return QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(8, 12, 12),
    ).eval()


def _text_encoder(tokenizer: Any) -> Any:
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": len(tokenizer) + 16,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [2, 3, 3],
            },
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
            "window_size": 112,
            "patch_size": 14,
            "spatial_merge_size": 2,
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        vision_token_id=token("<|vision_pad|>"),
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()
