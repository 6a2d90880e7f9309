"""Bodies that come as JSON or as a multipart form with picture parts; both mean the same."""

from __future__ import annotations

from typing import Any, TypeVar

# By whose threads large parts are spooled; the first of them would import it on the event loop.
import anyio._backends._asyncio  # noqa: F401
from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile

from gateway.errors import InvalidRequestError, UnsupportedFormatError
from gateway.http.json_body import parse_json
from gateway.storage.pictures import Pictures

M = TypeVar("M", bound=BaseModel)
_MAX_PARTS = 64


async def read_body(request: Request, model: type[M], pictures: Pictures) -> M:
    """Validate a JSON body, or a form whose file parts are taken in and become file ids.

    In a form, a value that starts with `[` or `{` is read as JSON unless its field is plain text;
    a part that comes several times is a list.

    Raises:
        ValidationError: pydantic's, rendered as 422.
        InvalidRequestError: the body is not JSON.
        UnsupportedFormatError: neither JSON nor a form.
    """
    content_type = request.headers.get("content-type", "").lower()
    if content_type.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        async with request.form(max_fields=_MAX_PARTS, max_files=_MAX_PARTS) as form:
            return model.model_validate(await _fields(form, model, pictures))
    if content_type.startswith("application/json") or not content_type:
        return model.model_validate(_parse(await request.body()))
    raise UnsupportedFormatError(
        f"The body must be application/json or multipart/form-data, not {content_type[:80]!r}."
    )


def _parse(body: bytes) -> Any:
    try:
        return parse_json(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The body is not valid JSON: {error}.") from error


async def _fields(form: FormData, model: type[BaseModel], pictures: Pictures) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key in form:
        name = key.split("[")[0]
        is_text = name in model.model_fields and model.model_fields[name].annotation is str
        values = [await _value(item, name, pictures, is_text=is_text) for item in form.getlist(key)]
        is_list = name in model.model_fields and _takes_list(model, name)
        if not is_list:
            fields[name] = values[-1]
        elif len(values) == 1 and isinstance(values[0], list):
            fields[name] = values[0]
        else:
            fields.setdefault(name, []).extend(values)
    return fields


async def _value(item: UploadFile | str, name: str, pictures: Pictures, *, is_text: bool) -> Any:
    if isinstance(item, UploadFile):
        stored = await pictures.take_in(await item.read(), pointer=f"/{name}")
        return stored.id
    is_json = not is_text and item.lstrip()[:1] in ("[", "{")
    return _parse(item.encode()) if is_json else item


def _takes_list(model: type[BaseModel], name: str) -> bool:
    return str(model.model_fields[name].annotation).startswith("list[")
