"""The Images API in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from gateway.openai_images.body import MAX_IMAGES
from gateway.openai_images.fields import ImageEditFields

_FILE = {"type": "string", "format": "binary"}
_SHARED_PARTS: dict[str, Any] = {
    "prompt": {"type": "string"},
    "n": {"type": "integer", "minimum": 1, "maximum": 10},
    "size": {"type": "string", "example": "auto"},
    "seed": {"type": "integer"},
}


def _body(schema: str, parts: dict[str, Any], *, form: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    }
    if form:
        content["multipart/form-data"] = {
            "schema": {"type": "object", "required": ["image"], "properties": parts}
        }
    stream = {
        "text/event-stream": {"schema": {"$ref": "#/components/schemas/ServerSentEvent"}},
        "application/json": {"schema": {"$ref": "#/components/schemas/ImagesView"}},
    }
    accepted = {
        "description": "With `Prefer: respond-async` or `wait=N`: the job.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobView"}}},
    }
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "Pictures; with `stream: true` events.", "content": stream},
            "202": accepted,
        },
    }


GENERATIONS_BODY = _body("GenerationFields", {}, form=False)
EDITS_BODY = _body(
    "ImageEditBody",
    {**_SHARED_PARTS, "image": {"type": "array", "items": _FILE}, "mask": _FILE},
    form=True,
)


class PictureReference(BaseModel):
    """A picture by data URL or file id."""

    image_url: str | None = Field(None, description="data:image/png;base64,...")
    file_id: str | None = None


class ImageEditBody(ImageEditFields):
    """The JSON body of an edit; a form has its pictures as parts `image` and `mask`."""

    images: list[PictureReference | str] = Field(
        default_factory=list, max_length=MAX_IMAGES, description="The first one is edited."
    )
    image: str | list[str] | None = Field(None, description="In place of images.")
    mask: PictureReference | str | None = Field(
        None, description="As large as the first image; edited where alpha is 0."
    )
    mask_image: PictureReference | str | None = Field(
        None, description="In place of mask; edited where white."
    )


class ImageData(BaseModel):
    """One picture."""

    b64_json: str | None
    url: str | None
    revised_prompt: str | None = Field(description="Always null: prompts are used as they come.")
    seed: int


class ImagesView(BaseModel):
    """OpenAI's members, then ours."""

    created: int
    data: list[ImageData]
    size: str
    quality: str
    output_format: str
    background: str
    usage: dict[str, Any]
    id: str = Field(description="The job.")
    model: str
    task: str
    parameters: dict[str, Any]
    mask: dict[str, Any] | None
    preservation: dict[str, Any] | None
    timings: dict[str, Any]
    warnings: list[str]
