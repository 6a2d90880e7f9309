"""What the pure image code rejects, as the gateway's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import (
    ImageInvalidError,
    PayloadTooLargeError,
    RetouchError,
    UnsupportedFormatError,
    UnsupportedValueError,
    ValidationFailedError,
)
from preprocessing.errors import RejectedError

_CLASSES: dict[str, type[RetouchError]] = {
    "image_too_large": PayloadTooLargeError,
    "unsupported_format": UnsupportedFormatError,
    "unsupported_size": UnsupportedValueError,
    "point_outside": ValidationFailedError,
    "box_outside": ValidationFailedError,
    "box_empty": ValidationFailedError,
    "labels_mismatch": ValidationFailedError,
    "prompt_empty": ValidationFailedError,
    "scribble_empty": ValidationFailedError,
    "mask_hint_empty": ValidationFailedError,
    "ops_order": ValidationFailedError,
}


@contextmanager
def rejections(pointer: str | None = None) -> Iterator[None]:
    """Raise our error for a rejection inside.

    Args:
        pointer: the field of the request that is being looked at.
    """
    try:
        yield
    except RejectedError as error:
        cls = _CLASSES.get(error.code, ImageInvalidError)
        raise cls(error.message, code=error.code, pointer=pointer) from error
