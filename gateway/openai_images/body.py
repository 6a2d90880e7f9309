"""Bodies of the Images API: JSON or a form, with every spelling of picture parts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from gateway.errors import InvalidRequestError, UnsupportedFormatError, UnsupportedValueError
from gateway.http.json_body import parse_json
from gateway.storage.pictures import Pictures

MAX_IMAGES = 16
_MAX_PARTS = 64
_MAX_FIELD_BYTES = 32 * 2**20
"""A data URL may stand in a form field."""
_PICTURES = {
    "image": "image",
    "images": "image",
    "image_url": "image",
    "url": "image",
    "reference_image": "image",
    "mask": "mask",
    "mask_image": "mask_image",
}
_PART = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?(.*)", re.DOTALL)


@dataclass(frozen=True)
class ImageBody:
    """A request's plain fields, and its pictures as file ids."""

    fields: dict[str, Any]
    images: tuple[str, ...] = ()
    mask: str | None = None
    mask_image: str | None = None

    @property
    def digest(self) -> str:
        """Equal for equal requests, whatever boundary a form has."""
        parts = [self.fields, self.images, self.mask, self.mask_image]
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


async def read_image_body(request: Request, pictures: Pictures) -> ImageBody:
    """Read a body whose pictures are taken in.

    Raises:
        InvalidRequestError: it is not JSON, or a picture is not a picture.
        UnsupportedValueError: more pictures than are allowed, or one behind a web address.
        UnsupportedFormatError: neither JSON nor a form.
    """
    kind = request.headers.get("content-type", "").lower()
    if kind.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        limits = {"max_fields": _MAX_PARTS, "max_files": _MAX_PARTS}
        async with request.form(**limits, max_part_size=_MAX_FIELD_BYTES) as form:
            return await _sorted_out(_form_fields(form), pictures)
    if kind.startswith("application/json") or not kind:
        return await _sorted_out(_json_fields(await request.body()), pictures)
    raise UnsupportedFormatError(
        f"The body must be application/json or multipart/form-data, not {kind[:80]!r}."
    )


def _json_fields(body: bytes) -> dict[str, Any]:
    try:
        fields = parse_json(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The body is not valid JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    return fields


def _form_fields(form: FormData) -> dict[str, Any]:
    """`a[]` is a list, `a[0]` a list in that order, `a[key]` an object, as SDKs write them."""
    fields: dict[str, Any] = {}
    numbered: dict[str, list[tuple[int, Any]]] = {}
    for key, value in form.multi_items():
        found = _PART.fullmatch(key)
        name, index, rest = found.groups() if found else (key, None, "")
        if rest:
            message = f"{key[:80]!r} has lost its structure in the form; send {name} as JSON text."
            raise InvalidRequestError(message, pointer=f"/{name}")
        if _PICTURES.get(name):
            place = int(index) if index and index.isdecimal() else len(numbered.get(name, ()))
            numbered.setdefault(name, []).append((place, value))
        elif index:
            fields.setdefault(name, {})[index] = value
        else:
            fields[name] = value
    for name, values in numbered.items():
        fields[name] = [value for _, value in sorted(values, key=lambda entry: entry[0])]
    return fields


async def _sorted_out(fields: dict[str, Any], pictures: Pictures) -> ImageBody:
    found: dict[str, list[str]] = {"image": [], "mask": [], "mask_image": []}
    for name, kind in _PICTURES.items():
        for number, item in enumerate(_items(fields.pop(name, None))):
            if len(found[kind]) >= (MAX_IMAGES if kind == "image" else 1):
                message = f"{name}: at most {MAX_IMAGES} pictures and one mask are taken."
                raise UnsupportedValueError(message, pointer=f"/{name}")
            pointer = f"/{name}" if number == 0 else f"/{name}/{number}"
            found[kind].append(await _taken_in(item, pictures, pointer))
    return ImageBody(
        fields=fields,
        images=tuple(found["image"]),
        mask=next(iter(found["mask"]), None),
        mask_image=next(iter(found["mask_image"]), None),
    )


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif value is not None and value != "":
        yield value


async def _taken_in(item: Any, pictures: Pictures, pointer: str) -> str:
    if isinstance(item, UploadFile):
        return (await pictures.take_in(await item.read(), pointer=pointer)).id
    reference = _reference(item, pointer)
    if reference.startswith(("http://", "https://")):
        message = "Pictures behind web addresses are not fetched; send a file, data URL or file id."
        raise UnsupportedValueError(message, pointer=pointer)
    return (await pictures.resolve(reference, pointer=pointer)).id


def _reference(item: Any, pointer: str) -> str:
    """`"file_..."`, `{"file_id"}`, `{"image_url": "data:..."}` or `{"image_url": {"url"}}`."""
    if isinstance(item, dict):
        item = item.get("file_id") or item.get("image_url") or item.get("url")
    if isinstance(item, dict):
        item = item.get("url")
    if not isinstance(item, str):
        message = "A picture is a file, a data URL, a file id, or {image_url} or {file_id}."
        raise InvalidRequestError(message, pointer=pointer)
    return item
