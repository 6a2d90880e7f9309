"""The fields of a job that only edits have."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from preprocessing.mask_input import MaskSemantics


class EditFields(BaseModel):
    """What a job may say of its mask, its reference and its original."""

    mask_semantics: MaskSemantics = Field(
        MaskSemantics.WHITE, description="What in the mask means edit."
    )
    reference_mask: str | None = Field(
        None, description="insert: where the object is in its reference (white)."
    )
    prefill_grow: int | None = Field(
        None,
        ge=0,
        le=256,
        description="remove: pixels by which the mask is widened for the first guess of what is "
        "behind it; 35 for hand-drawn masks, 0 for masks that hold the object and its shadow.",
    )
    crop: Literal["auto", "off"] | None = Field(
        None, description="auto: of a large photograph only the mask's surroundings are painted."
    )
    keep_alpha: bool = Field(False, description="Give the result the alpha channel of its input.")
