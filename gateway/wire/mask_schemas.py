"""What travels over HTTP on `/v1/masks`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from preprocessing.operations import BORDER_LIMIT, Operation, OperationKind

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Reach = Annotated[int, Field(ge=0, le=512)]
Area = Annotated[int, Field(ge=1)]
Output = Literal["png", "png_alpha", "rle", "polygon"]
OUTPUT_HELP = (
    "png: 8-bit grey, white = edit; png_alpha: RGBA, transparent = edit, as OpenAI's image edits "
    "take it; rle: COCO's compressed run lengths; polygon: rings by the even-odd rule."
)


class _Request(BaseModel):
    """Unknown fields are refused: a misspelt parameter must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class MaskPrompt(_Request):
    """One object; what is given must all hold. Pixels of the picture as it is seen."""

    points: list[Point] = Field(default_factory=list, max_length=64)
    labels: list[Literal[0, 1]] = Field(
        default_factory=list, description="1 = on the object, 0 = not; all 1 when left out."
    )
    box: Box | None = Field(None, description="x0, y0, x1, y1; right and bottom exclusive.")
    scribble: list[Point] | list[list[Point]] | str | None = Field(
        None,
        description="A brush stroke, several, or a picture of them (file id or data URL, white).",
    )
    scribble_width: int = Field(8, ge=1, le=256, description="Width of the brush in pixels.")
    mask_hint: str | None = Field(
        None, description="A rough mask, white = object: a file id or a data URL."
    )
    auto: bool = Field(False, description="The picture's subject: large and near the middle.")
    text: str = Field(
        "", max_length=300, description='Such as "the red cup"; needs a CLIP model pair.'
    )


class MaskOperation(_Request):
    """One operation: exactly one member."""

    grow: Reach | None = Field(None, description="Pixels.")
    shrink: Reach | None = Field(None, description="Pixels.")
    border_adjustment: Annotated[int, Field(ge=-BORDER_LIMIT, le=BORDER_LIMIT)] | None = Field(
        None, description="Pixels; below 0 shrinks."
    )
    fill_holes: Area | Literal[True] | None = Field(
        None, description="true, or the largest hole to fill in pixels."
    )
    islands: Area | None = Field(None, description="Parts of fewer pixels go.")
    largest: Literal[True] | None = Field(None, description="Only the largest part stays.")
    invert: Literal[True] | None = None
    feather: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None, description="Pixels of soft edge on each side; only invert may follow."
    )
    blur: Literal[True] | None = Field(
        None, description="A soft edge by the picture's size; only invert may follow."
    )

    @model_validator(mode="after")
    def _one_member(self) -> MaskOperation:
        if len(self.model_fields_set) != 1:
            raise ValueError(
                f"an operation has exactly 1 member; it has {len(self.model_fields_set)}"
            )
        return self

    def as_operation(self) -> Operation:
        """In the words of the pure code."""
        (name,) = self.model_fields_set
        value = getattr(self, name)
        return Operation(OperationKind(name), 0 if value in (True, None) else int(value))


Operations = Annotated[
    list[MaskOperation], Field(max_length=16, description="Done to every mask, in this order.")
]


class MaskRequest(_Request):
    """What to find on a picture."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"image": "file_6f1c...", "prompts": [{"points": [[412, 300]], "labels": [1]}]},
                {
                    "image": "data:image/png;base64,...",
                    "prompts": [{"box": [40, 60, 300, 420]}, {"scribble": [[9, 9], [40, 52]]}],
                    "ops": [{"fill_holes": True}, {"grow": 4}, {"feather": 6}],
                },
                {"image": "file_6f1c...", "everything": True, "output": "rle"},
            ]
        },
    )
    image: str = Field(description="A file id or a data URL; in multipart, a file part.")
    prompts: list[MaskPrompt] = Field(default_factory=list, max_length=100)
    everything: bool = Field(False, description="All objects of the picture.")
    multimask: bool = Field(False, description="For each prompt its alternatives too.")
    max_masks: int = Field(100, ge=1, le=300)
    ops: Operations = Field(default_factory=list)
    output: Output = Field("png", description=OUTPUT_HELP)


class RunLengths(_Request):
    """COCO's compressed run lengths."""

    size: tuple[int, int] = Field(description="Height and width.")
    counts: str


class ComposeRequest(_Request):
    """Masks of one size become one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"masks": ["file_6f1c...", "file_a07b..."], "operation": "union"},
                {
                    "masks": ["file_6f1c...", "file_a07b..."],
                    "operation": "subtract",
                    "ops": [{"grow": 8}, {"feather": 4}],
                    "output": "rle",
                },
            ]
        },
    )
    masks: list[str | RunLengths] = Field(
        min_length=1,
        max_length=64,
        description="File ids, data URLs (white = edit) or run lengths.",
    )
    operation: Literal["union", "intersect", "subtract"] = Field(
        "union", description="subtract: the first without all others."
    )
    ops: Operations = Field(default_factory=list)
    output: Output = Field("png", description=OUTPUT_HELP)


class ShownMask(BaseModel):
    """A mask as it was asked for."""

    mask_id: str = Field(description="A file id: use it as the mask of a job.")
    area: int = Field(description="Pixels in the mask; with a soft edge, levels from 128 on.")
    bbox: tuple[int, int, int, int] | None
    polarity: Literal["white", "transparent"] = Field(
        "white", description="What will be edited: white, or transparent in a png_alpha."
    )
    png: str | None = Field(None, description="Base64 of a PNG.")
    rle: RunLengths | None = None
    polygon: list[list[tuple[int, int]]] | None = None


class MaskAlternative(BaseModel):
    """Another object that satisfied the prompt; ask with `multimask` for its mask."""

    score: float
    bbox: tuple[int, int, int, int]


class FoundMask(ShownMask):
    """One mask of a picture."""

    score: float
    prompt_index: int | None
    alternatives: list[MaskAlternative] = Field(description="Best first, at most 10.")


class MaskResponse(BaseModel):
    """Masks in the order of the prompts."""

    id: str
    image_id: str
    width: int
    height: int
    masks: list[FoundMask]
    cached: bool = Field(description="The network had seen the picture; it was not run again.")
    timings: dict[str, float] = Field(description="Seconds by stage.")
    warnings: list[str]


class ComposedMask(ShownMask):
    """The mask made of others."""

    width: int
    height: int


def form_fields(**more: Any) -> dict[str, Any]:
    """The parts of a form that say what to find, for the OpenAPI document."""
    return {
        "image": {"type": "string", "format": "binary"},
        "prompts": {"type": "string", "example": '[{"points": [[412, 300]]}]'},
        "everything": {"type": "boolean"},
        "ops": {"type": "string", "example": '[{"grow": 8}]'},
        "output": {"type": "string", "enum": ["png", "png_alpha", "rle", "polygon"]},
        **more,
    }
