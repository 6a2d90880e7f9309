"""What travels over HTTP on `/v1`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from gateway.wire.edit_schemas import EditFields
from gateway.wire.mask_schemas import MaskPrompt

AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
AdapterScale = Annotated[float, Field(ge=0, le=2)]
Size = Annotated[str, StringConstraints(pattern=r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$")]


class _Request(BaseModel):
    """Unknown fields are refused: a misspelt parameter must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class JobMask(MaskPrompt):
    """The mask of a job by prompt: an object, or several together."""

    prompts: list[MaskPrompt] = Field(
        default_factory=list, max_length=20, description="Several objects, instead of one."
    )
    grow: int = Field(0, ge=0, le=256, description="Pixels to widen the mask by.")
    feather: int | None = Field(
        None, ge=0, le=256, description="The job's feather, where the job names none."
    )


class FileInfo(BaseModel):
    """A stored picture."""

    id: str
    sha256: str
    width: int
    height: int
    format: str
    bytes: int
    warnings: list[str] = Field(description="What was left out or changed when it was read.")


class JobRequest(_Request, EditFields):
    """What to paint."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"task": "generate", "prompt": "a lighthouse at dusk", "seed": 7},
                {
                    "task": "edit",
                    "prompt": "make it blue",
                    "image": "file_6f1c...",
                    "mask": "file_a07b...",
                },
                {
                    "task": "inpaint",
                    "prompt": "a bunch of tulips",
                    "image": "file_6f1c...",
                    "mask": {"points": [[412, 300]]},
                },
                {
                    "task": "remove",
                    "image": "file_6f1c...",
                    "mask": {"points": [[412, 300]], "grow": 8, "feather": 4},
                },
                {
                    "task": "insert",
                    "image": "file_6f1c...",
                    "mask": "file_a07b...",
                    "reference": ["file_9d2e..."],
                    "reference_mask": "file_31c8...",
                },
                {"task": "white_balance", "image": "file_6f1c..."},
            ]
        },
    )
    task: Literal["generate", "edit", "inpaint", "insert", "remove", "white_balance"]
    prompt: str = Field(
        "", max_length=8000, description="May be empty for remove, white_balance and a reference."
    )
    negative_prompt: str = Field("", max_length=8000)
    image: str | None = Field(None, description="A file id or a data URL; in multipart, a part.")
    mask: str | JobMask | None = Field(
        None, description="A file id, a data URL, or a smart-mask prompt."
    )
    reference: list[str] = Field(
        default_factory=list,
        max_length=3,
        description="insert: the object; edit and inpaint: further condition images.",
    )
    seed: int | None = Field(None, ge=0, lt=2**63 - 16)
    num_inference_steps: int | None = Field(None, ge=1, le=100)
    true_cfg_scale: float | None = Field(None, ge=1, le=20)
    strength: float | None = Field(
        None, gt=0, le=1, description="inpaint: how far to leave the picture."
    )
    adapters: dict[AdapterName, AdapterScale] = Field(
        default_factory=dict,
        max_length=4,
        description="Scales of LoRA adapters by name, 1 as trained; a model's are in /v1/models.",
    )
    size: Size = Field("auto", description="WxH in steps of 16; auto fits the picture or model.")
    n: int = Field(1, ge=1, le=4, description="Pictures; the seed rises by 1 for each.")
    preserve: Literal["exact", "soft", "none"] = Field(
        "exact",
        description="exact: outside the mask the result equals the input bit for bit; soft: the "
        "mask's levels are weights and the feather lies on both sides; none: the model's picture.",
    )
    feather: int = Field(8, ge=0, le=256, description="Pixels of blending inside the mask's edge.")
    priority: Literal["interactive", "batch"] = Field(
        "interactive", description="interactive jobs start before waiting batch jobs."
    )
    determinism: Literal["batched", "exact"] = Field(
        "batched",
        description="exact: the bytes do not depend on other jobs at all; steps share no batch.",
    )
    deadline_s: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="Seconds from now; a job not finished by then ends failed, deadline_exceeded.",
    )
    metadata: dict[str, str] = Field(default_factory=dict, max_length=16)
    webhook: str | None = Field(
        None, max_length=2000, description="An https address, told when the job has ended."
    )

    @field_validator("seed", "num_inference_steps", "n", "true_cfg_scale", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any) -> Any:
        """JSON's true is no number; pydantic would take it for 1."""
        if isinstance(value, bool):
            raise ValueError("Input should be a number, not true or false")
        return value


class JobOutput(BaseModel):
    """One finished picture."""

    file_id: str
    url: str
    width: int
    height: int
    format: str
    sha256: str
    seed: int
    cube_url: str | None = Field(None, description="white_balance: the transform as a .cube file.")


class StageTiming(BaseModel):
    """What a job waited for one stage of the model."""

    seconds: float = Field(description="Sum over its calls, waits for batches included.")
    calls: int
    cached: int = Field(description="Calls that the stage answered without its network.")


class JobTimings(BaseModel):
    """Where the time of a job went; filled in when it has succeeded."""

    inference_s: float | None = Field(None, description="In the model server.")
    stages: dict[str, StageTiming] = Field(
        default_factory=dict,
        description="By stage: text_encoder, vae_encoder, transformer, vae_decoder.",
    )


class JobView(BaseModel):
    """A job as its owner sees it. Times are seconds since the epoch."""

    id: str
    object: Literal["job"] = "job"
    task: str
    model: str
    status: Literal["queued", "running", "succeeded", "failed", "canceled", "expired"]
    progress: float
    step: int
    total_steps: int
    queue_position: int | None
    eta_s: float | None = Field(
        None,
        examples=[12.4],
        description="Seconds until it ends, as likely less as more; null until enough is known.",
    )
    eta_p90_s: float | None = Field(
        None, examples=[19.8], description="Of ten jobs, about nine end within these seconds."
    )
    created_at: float
    started_at: float | None
    completed_at: float | None
    expires_at: float | None = Field(None, description="When the result is removed.")
    attempts: int = Field(0, description="Starts; above 1 when what it ran on died.")
    parameters: dict[str, Any]
    output: list[JobOutput]
    preservation: dict[str, Any] | None
    mask: dict[str, Any] | None
    timings: JobTimings
    warnings: list[str]
    error: dict[str, str] | None
    metadata: dict[str, str]
    urls: dict[str, str]


class JobList(BaseModel):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[JobView]
    has_more: bool


class ModelView(BaseModel):
    """A model and whether it answered its last canary."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(0, description="Of no meaning here; OpenAI's clients expect it.")
    owned_by: Literal["retouch"] = "retouch"
    ready: bool
    detail: str
    demo: bool = Field(description="Random or toy weights that prove the plumbing only.")
    source: str | None
    tasks: list[str]
    adapters: list[str] = Field(description="LoRA adapters that a job may name.")
    defaults: dict[str, Any]
    limits: dict[str, dict[str, Any]] = Field(description="Bounds of a job's fields.")


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelView]


class Problem(BaseModel):
    """Every error, as RFC 9457 clients and the OpenAI SDKs read it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[dict[str, str]]
    request_id: str
    error: dict[str, Any]
