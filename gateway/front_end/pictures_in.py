"""Pictures as the front end sends them: base64, with or without a data-URL prefix."""

from __future__ import annotations

import binascii
import re

import pybase64

from gateway.errors import ImageInvalidError
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures

_PREFIX = re.compile(r"data:[^,]{0,200},", re.ASCII)


async def take_in_base64(text: str, name: str, pictures: Pictures) -> StoredImage:
    """Check a picture in full and keep it.

    Raises:
        ImageInvalidError: the text is no base64, or is an address in the client's own browser.
        RetouchError: the bytes are no picture, or over a limit.
    """
    if text.startswith(("blob:", "http:", "https:")):
        kind = text.split(":", 1)[0]
        message = f"{name} is a {kind}: address, which only the browser can read; send its base64."
        raise ImageInvalidError(message, pointer=f"/{name}")
    prefix = _PREFIX.match(text)
    body = text[prefix.end() :] if prefix else text
    try:
        data = pybase64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"{name} is not valid base64: {error}."
        raise ImageInvalidError(message, pointer=f"/{name}") from error
    if not data:
        raise ImageInvalidError(f"{name} is empty.", pointer=f"/{name}")
    return await pictures.take_in(data, pointer=f"/{name}")
