"""The product's Qwen models: their parts, stages, and how stages may run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PARTS = ("transformer", "text_encoder", "vae_encoder", "vae_decoder")
ENGINES = ("torch", "onnx")
PRECISIONS = ("auto", "bf16", "fp16", "fp32", "fp8", "int8")


@dataclass(frozen=True)
class QwenModel:
    """One of the product's pipeline models and where its parts go."""

    name: str
    pipeline: str
    """diffusers class of the loop."""
    inpaint_pipeline: str | None
    transformer: str
    """Stage model of the denoiser."""
    latent_px: int = 8
    """Pixels a side of one latent of the VAE."""
    packs_latents: bool = True
    """Whether the pipeline packs 2 x 2 latents into one token."""
    size_multiple: int = 16
    """Pixels in steps of which the pipeline makes pictures."""

    @property
    def stages(self) -> dict[str, str]:
        """Stage model of each part; all but the transformer serve both models."""
        return {
            "transformer": self.transformer,
            "text_encoder": "qwen_text_encoder",
            "vae_encoder": "qwen_vae_encoder",
            "vae_decoder": "qwen_vae_decoder",
        }


GENERATION = QwenModel(
    "qwen_image", "QwenImagePipeline", "QwenImageInpaintPipeline", "qwen_image_transformer"
)
EDIT = QwenModel(
    "qwen_image_edit", "QwenImageEditPlusPipeline", None, "qwen_image_edit_transformer"
)
SINGLE_STREAM = "QwenImage21Pipeline"
"""diffusers class of the 2.x line, which generates and edits with one network."""
GENERATION_2, EDIT_2 = (
    QwenModel(
        name,
        SINGLE_STREAM,
        None,
        GENERATION.transformer,
        latent_px=16,
        packs_latents=False,
        size_multiple=32,
    )
    for name in (GENERATION.name, EDIT.name)
)
"""Both call one stage, so that the network is loaded once."""


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """How the stages of a checkpoint run; the same for every part unless said otherwise."""

    precision: str = "auto"
    """Of transformer and text encoder, one of `PRECISIONS`; the VAE is never quantised."""
    onnx: frozenset[str] = frozenset()
    """Parts, of `PARTS`, that ONNX Runtime runs instead of torch."""
    compile: bool = False
    """torch.compile for the transformer's blocks."""
    warm_up: tuple[tuple[int, int], ...] = ()
    """Sizes (width, height) in pixels that every stage runs once when it loads."""
    warm_up_conditions: tuple[int, ...] = (0,)
    """Numbers of condition images that the transformer is warmed up with at each size."""

    def settings(self, part: str) -> dict[str, Any]:
        """What the stage reads at load, its `stage.json`."""
        is_onnx = part in self.onnx
        keeps_own = is_onnx or (self.precision in ("fp8", "int8") and part.startswith("vae"))
        conditions = self.warm_up_conditions if part == "transformer" else (0,)
        return {
            "engine": "onnx" if part in self.onnx else "torch",
            "precision": "auto" if keeps_own else self.precision,
            "compile": self.compile and part == "transformer" and not is_onnx,
            "warm_up": [
                {"width": width, "height": height, "conditions": count}
                for width, height in self.warm_up
                for count in conditions
            ],
        }


MODELS = {model.name: model for model in (GENERATION, EDIT)}
STAGES = sorted({stage for model in MODELS.values() for stage in model.stages.values()})
"""Names of all stage models."""
