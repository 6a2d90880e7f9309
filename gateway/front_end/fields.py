"""Bodies that the existing front end sends; fields it does not know here are ignored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class SubmitFields(_Body):
    """`POST /api/generate/async`. Pictures are base64, with or without a data-URL prefix."""

    input_image: str = Field(description="What is edited; the result has its size.")
    prompt: str = Field("", max_length=8000, description="May be empty for white balance.")
    conditional_images: list[str] = Field(
        default_factory=list, max_length=4, description="[0] is the mask, white = edit."
    )
    mask_image: str | None = Field(None, description="The mask, as older clients send it.")
    reference_image: str | None = None
    reference_mask_R: str | None = Field(  # noqa: N815  the wire's name
        None, description="White on the object, at the size of the reference before extraction."
    )
    width: int | None = Field(None, ge=256, le=2048)
    height: int | None = Field(None, ge=256, le=2048)
    num_inference_steps: int = Field(10, ge=1, le=100)
    guidance_scale: float = Field(
        4.0, ge=0.5, le=20, description="No effect: true_cfg_scale guides the models."
    )
    true_cfg_scale: float = Field(4.0, ge=0.5, le=15)
    negative_prompt: str | None = Field(None, max_length=8000)
    seed: int | None = Field(None, ge=-1, lt=2**63 - 16, description="-1: any.")
    task_type: Literal["insertion", "removal", "white-balance"] = "insertion"
    input_quality: Literal["resized", "original"] = "resized"
    mask_tool_type: Literal["brush", "box"] = "brush"
    enable_debug: bool = False
    enable_mae_refinement: bool = Field(True, description="No effect; warned of at removals.")
    enable_flowmatch_scheduler: bool = Field(
        False, description="Every model runs on FlowMatchEulerDiscreteScheduler, asked or not."
    )
    angle: str | None = Field(
        None, max_length=200, description="Words of the prompt, by name or as they are."
    )
    background_preset: str | None = Field(
        None, max_length=200, description="Words of the prompt, by name or as they are."
    )
    refine_mask_with_birefnet: bool = Field(
        False, description="Removal: FastSAM draws the mask along the object it covers."
    )


class Submitted(BaseModel):
    """The answer to a submission."""

    task_id: str
    status: Literal["queued"] = "queued"
    message: str
    warnings: list[str] | None = Field(
        None, description="What was asked for and is not done; left out when there is nothing."
    )


class TaskState(BaseModel):
    """A task in the front end's words; a frame of its stream."""

    task_id: str
    status: Literal["queued", "loading_pipeline", "processing", "done", "error", "cancelled"]
    progress: float = Field(description="0 to 1; 0.3 to 0.95 while steps are done.")
    current_step: int | None
    total_steps: int | None
    error: str | None
    loading_message: str | None


class DebugInfo(BaseModel):
    """What the model was shown; the panel opens by itself where there is one."""

    conditional_images: list[str]
    conditional_labels: list[str]
    input_image_size: str
    output_image_size: str
    lora_adapter: str | None
    positioned_mask_R: str | None  # noqa: N815  the wire's name


class TaskResult(BaseModel):
    """A finished task."""

    task_id: str
    status: Literal["done"] = "done"
    image: str = Field(description="Base64 of a PNG.")
    debug_info: DebugInfo | None
    generation_time: float
    model_used: str
    parameters_used: dict[str, Any]


class Canceled(BaseModel):
    """Whether a task could be canceled."""

    success: bool
    message: str
    task_id: str


class SmartMaskFields(_Body):
    """`POST /api/smart-mask`."""

    image: str | None = None
    image_id: str | None = Field(None, max_length=200)
    request_id: str | None = Field(None, max_length=200)
    bbox: tuple[float, float, float, float] | None = None
    points: list[tuple[float, float]] = Field(default_factory=list, max_length=64)
    mask: str | None = Field(None, description="White guidance: the whole stroke counts.")
    auto_detect: bool = False
    border_adjustment: int = Field(0, ge=-10, le=10, description="Pixels: grow above 0.")
    use_blur: bool = False
    model_type: str = "fastsam"


class SmartMaskResult(BaseModel):
    """A found mask."""

    success: bool
    mask_base64: str
    image_id: str
    request_id: str
    error: str | None = None
    warnings: list[str] = Field(default_factory=list)


class ExtractFields(_Body):
    """`POST /api/image-utils/extract-object`."""

    image: str
    mask: str


class Extracted(BaseModel):
    """A cut-out on white."""

    success: bool
    extracted_image: str
    error: str | None = None


class SystemHealth(BaseModel):
    """Whether everything works."""

    status: Literal["healthy", "degraded"]
    services: dict[str, dict[str, str]]
