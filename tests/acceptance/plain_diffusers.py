"""The served checkpoints in plain diffusers, in this process: what served pictures must equal."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from qwen_serving import torchvision_ops

torchvision_ops.declare()

import torch  # noqa: E402
from diffusers import (  # noqa: E402
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPlusPipeline,
    QwenImageInpaintPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as edit_plus  # noqa: E402
from transformers import (  # noqa: E402
    AutoProcessor,
    AutoTokenizer,
    Qwen2_5_VLForConditionalGeneration,
)

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"


def paint(
    prompt: str,
    *,
    seed: int,
    steps: int = 8,
    size_wh: tuple[int, int] = (256, 256),
    true_cfg_scale: float = 1.0,
    negative_prompt: str = "",
    images: list[Image.Image] | None = None,
    mask: Image.Image | None = None,
    strength: float = 0.9,
) -> npt.NDArray[np.uint8]:
    """Run the pipeline class that serves such a request."""
    arguments: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": (negative_prompt or " ") if true_cfg_scale > 1 else None,
        "true_cfg_scale": true_cfg_scale,
        "width": size_wh[0],
        "height": size_wh[1],
        "num_inference_steps": steps,
        "generator": torch.Generator("cpu").manual_seed(seed),
        "output_type": "np",
    }
    if mask is not None and images:
        arguments |= {"image": images[0], "mask_image": mask, "strength": strength}
        pipeline = _pipeline(QwenImageInpaintPipeline)
    elif images:
        arguments["image"] = images
        pipeline = _pipeline(QwenImageEditPlusPipeline)
    else:
        pipeline = _pipeline(QwenImagePipeline)
    picture = pipeline(**arguments).images[0]
    return (picture * 255).round().astype(np.uint8)


def difference(served_png: bytes, expected: npt.NDArray[np.uint8]) -> int:
    """Largest difference of a channel, in grey levels."""
    served = np.asarray(Image.open(io.BytesIO(served_png)).convert("RGB")).astype(int)
    assert served.shape == expected.shape
    return int(np.abs(served - expected.astype(int)).max())


@cache
def _pipeline(cls: Any) -> Any:
    edits = cls is QwenImageEditPlusPipeline
    folder = REPOSITORY / ("qwen_image_edit" if edits else "qwen_image") / "1" / "pipeline"
    stage = "qwen_image_edit_transformer" if edits else "qwen_image_transformer"
    modules = {
        "scheduler": FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler"),
        "tokenizer": AutoTokenizer.from_pretrained(folder / "tokenizer"),
        "transformer": QwenImageTransformer2DModel.from_pretrained(_weights(stage)),
        "vae": AutoencoderKLQwenImage.from_pretrained(_weights("qwen_vae_decoder")),
        "text_encoder": _text_encoder(),
    }
    if edits:
        modules["processor"] = AutoProcessor.from_pretrained(folder / "processor")
        edit_plus.CONDITION_IMAGE_SIZE, edit_plus.VAE_IMAGE_SIZE = 128 * 128, 256 * 256
    pipeline = cls(**modules)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _text_encoder() -> Any:
    """With the picture positions that the processor computes and the pipelines drop."""
    encoder = Qwen2_5_VLForConditionalGeneration.from_pretrained(_weights("qwen_text_encoder"))
    forward = encoder.forward

    def with_token_types(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("image_grid_thw") is not None:
            is_image = kwargs["input_ids"] == encoder.config.image_token_id
            kwargs["mm_token_type_ids"] = is_image.int()
        return forward(*args, **kwargs)

    encoder.forward = with_token_types
    return encoder.eval()


def _weights(stage: str) -> Path:
    return REPOSITORY / stage / "1" / "weights"
