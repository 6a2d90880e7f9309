"""What travels over HTTP on `/v1/images`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.wire.schemas import JobMask
from preprocessing.mask_input import MaskSemantics
from preprocessing.white_balance import MAX_TEMPERATURE_K, MAX_TINT, MIN_TEMPERATURE_K


class MaskedImageRequest(BaseModel):
    """A picture and what of it is meant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"image": "file_6f1c...", "mask": "file_a07b..."},
                {"image": "file_6f1c...", "mask": {"points": [[412, 300]]}},
            ]
        },
    )
    image: str = Field(description="A file id or a data URL; in multipart, a file part.")
    mask: str | JobMask = Field(description="A file id, a data URL, or a smart-mask prompt.")
    mask_semantics: MaskSemantics = Field(
        MaskSemantics.WHITE, description="What in the mask means the object."
    )


class WhiteBalanceRequest(BaseModel):
    """A photograph and, where it is known, the light it was taken under."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"image": "file_6f1c..."},
                {"image": "file_6f1c...", "temperature_k": 3200, "tint": 8},
            ]
        },
    )
    image: str = Field(description="A file id or a data URL; in multipart, a file part.")
    temperature_k: float | None = Field(
        None,
        ge=MIN_TEMPERATURE_K,
        le=MAX_TEMPERATURE_K,
        description="Of the light in kelvin; without it and tint the light is estimated.",
    )
    tint: float | None = Field(
        None, ge=-MAX_TINT, le=MAX_TINT, description="Positive for a greener light than daylight."
    )
    output_format: Literal["png", "jpeg"] | None = Field(
        None, description="jpeg for a JPEG, png for everything else, when left out."
    )


class ImageView(BaseModel):
    """A picture that was made."""

    file_id: str
    url: str
    width: int
    height: int
    format: str
    sha256: str


class MaskView(BaseModel):
    """The mask as it was understood."""

    file_id: str
    polarity: str = Field(description="What in the mask that was sent means edit.")
    coverage: float
    bbox: tuple[int, int, int, int] | None


class CutoutResponse(BaseModel):
    """An object on white."""

    image: ImageView
    reference_mask: ImageView = Field(description="The object's mask in that square.")
    mask: MaskView
    warnings: list[str]


class ShadowResponse(BaseModel):
    """What an insertion would be told of its shadow."""

    image: ImageView
    expanded_mask: ImageView = Field(description="Object, shadow and rim; the shadow in greys.")
    mask: MaskView
    warnings: list[str]


class LightView(BaseModel):
    """A light."""

    temperature_k: float
    tint: float


class WhiteBalanceResponse(BaseModel):
    """A photograph with its colours corrected."""

    image: ImageView
    cube_url: str = Field(description="The transform as a .cube file, for any grading tool.")
    method: Literal["auto", "light"]
    light: LightView = Field(description="What it was taken under, estimated or as named.")
    gains: tuple[float, float, float] = Field(description="Of linear red, green and blue.")
    warnings: list[str]
