"""Fields of the Images API: each is honoured, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.errors import InvalidRequestError, UnsupportedValueError
from gateway.wire.mask_schemas import MaskPrompt
from gateway.wire.schemas import AdapterName, AdapterScale, Size
from preprocessing.mask_input import MaskSemantics

M = TypeVar("M", bound="ImageFields")

_REFUSED = {
    "complexity": "the models have no such setting",
    "frame_count": "pictures here have one frame",
    "frame_duration_ms": "pictures here have one frame",
    "lora": "name adapters in adapters: {name: scale}",
    "loras": "name adapters in adapters: {name: scale}",
    "markup": "draw the region as mask, or name it in mask_prompt",
    "style": "say it in the prompt",
    "svg": "pictures here are made of pixels",
}


def _from_json(value: Any) -> Any:
    """SDKs flatten structured fields in forms, so there they come as JSON text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not valid JSON: {error}") from error
    return value


Structured = BeforeValidator(_from_json)


class ImageFields(BaseModel):
    """What generations and edits have in common."""

    model_config = ConfigDict(extra="allow")

    prompt: str = Field(min_length=1, max_length=8000)
    model: str | None = Field(None, max_length=200, description="A name from /v1/models.")
    n: int = Field(1, ge=1, le=10)
    size: Size = Field("auto", description="WxH in steps of 16.")
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] = Field(
        "auto", description="low: a quarter of the steps; medium, standard: half; high, hd: all."
    )
    output_format: Literal["png", "jpeg", "webp"] = "png"
    output_compression: int | None = Field(None, ge=0, le=100, description="jpeg and webp only.")
    background: Literal["auto", "opaque"] = "auto"
    moderation: Literal["auto", "low"] | None = Field(None, description="Nothing is moderated.")
    response_format: Literal["b64_json", "url"] = "b64_json"
    stream: bool = False
    partial_images: int = Field(0, ge=0, le=3)
    user: str | None = Field(None, max_length=500, description="Kept in the job's metadata.")
    safety_identifier: str | None = Field(None, max_length=500)

    negative_prompt: str = Field("", max_length=8000)
    seed: int | None = Field(None, ge=0, lt=2**63 - 16)
    num_inference_steps: int | None = Field(None, ge=1, le=100)
    true_cfg_scale: float | None = Field(None, ge=1, le=20)
    guidance_scale: float | None = Field(
        None, ge=1, le=20, description="Another name of true_cfg_scale."
    )
    adapters: Annotated[dict[AdapterName, AdapterScale], Structured] = Field(default_factory=dict)
    priority: Literal["interactive", "batch"] = "interactive"
    determinism: Literal["batched", "exact"] = "batched"
    deadline_s: float | None = Field(None, gt=0, le=86_400)
    metadata: Annotated[dict[str, str], Structured] = Field(default_factory=dict, max_length=16)

    @property
    def warnings(self) -> list[str]:
        """What was not done as asked, in sentences."""
        found = [f"The field {name[:80]!r} is unknown." for name in sorted(self.model_extra or ())]
        if self.moderation is not None:
            found.append("Nothing is moderated here, whatever moderation says.")
        if self.guidance_scale is not None:
            found.append("guidance_scale was read as true_cfg_scale.")
        return found

    @property
    def labels(self) -> dict[str, str]:
        """Metadata of the job."""
        named = {"user": self.user, "safety_identifier": self.safety_identifier}
        return {**self.metadata, **{name: value for name, value in named.items() if value}}


class GenerationFields(ImageFields):
    """`POST /v1/images/generations`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"prompt": "a lighthouse at dusk", "seed": 7}]},
    )


class ImageEditFields(ImageFields):
    """`POST /v1/images/edits`, besides its pictures."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "prompt": "make it blue",
                    "images": [{"file_id": "file_6f1c..."}],
                    "mask_prompt": {"points": [[412, 300]]},
                }
            ]
        },
    )
    prompt: str = Field("", max_length=8000)
    input_fidelity: Literal["high"] = "high"
    task: str = Field("edit", max_length=40, description="edit, inpaint, ...: as in /v1/jobs.")
    mask_prompt: Annotated[MaskPrompt | None, Structured] = Field(
        None, description="A smart-mask prompt in place of a mask."
    )
    mask_semantics: MaskSemantics | None = Field(
        None, description="What in the mask means edit; mask: transparent, mask_image: white."
    )
    preserve: Literal["exact", "soft", "none"] | None = None
    grow: int = Field(0, ge=0, le=256, description="Pixels the mask grows by.")
    feather: int | None = Field(None, ge=0, le=256)
    strength: float | None = Field(None, gt=0, le=1)


def understand(model: type[M], raw: Mapping[str, Any]) -> M:
    """Check a request's fields.

    Raises:
        InvalidRequestError: a field that must be there is not.
        UnsupportedValueError: a field cannot be honoured; its pointer names it.
    """
    given = {name: value for name, value in raw.items() if value is not None}
    for name in given.keys() & _REFUSED.keys():
        message = f"The field {name} is not supported: {_REFUSED[name]}."
        raise UnsupportedValueError(message, pointer=f"/{name}")
    try:
        fields = model.model_validate(given)
    except ValidationError as error:
        raise _refusal(error) from error
    _require_consistent(fields)
    return fields


def _require_consistent(fields: ImageFields) -> None:
    if fields.partial_images and not fields.stream:
        message = "partial_images needs stream: true."
        raise UnsupportedValueError(message, pointer="/partial_images")
    if fields.output_format == "png" and fields.output_compression not in (None, 100):
        message = "output_compression goes with output_format jpeg or webp; png loses nothing."
        raise UnsupportedValueError(message, pointer="/output_compression")
    if fields.quality != "auto" and fields.num_inference_steps is not None:
        message = "Send quality or num_inference_steps, not both: quality stands for steps."
        raise UnsupportedValueError(message, pointer="/quality")
    both = (fields.true_cfg_scale, fields.guidance_scale)
    if None not in both and both[0] != both[1]:
        message = "guidance_scale is another name of true_cfg_scale; the two differ."
        raise UnsupportedValueError(message, pointer="/guidance_scale")


def _refusal(error: ValidationError) -> InvalidRequestError:
    first = error.errors(include_url=False)[0]
    pointer = "/" + "/".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return InvalidRequestError(f"{pointer[1:]} is missing.", pointer=pointer)
    shown = repr(first["input"])[:80]
    return UnsupportedValueError(f"{pointer[1:]}: {first['msg']}; got {shown}.", pointer=pointer)
