"""Under which keys a store keeps what belongs to a picture.

`files/ab/cd/HASH` has the bytes, `.json` beside it the record where the bytes do not tell,
`owners/HASH/KEY` says who may see it, `touched/HASH` when it was put again.
"""

from __future__ import annotations

import re

ID = re.compile(r"file_[0-9a-f]{40}")
"""What a picture's id looks like."""
_KEY = re.compile(r"files/[0-9a-f]{2}/[0-9a-f]{2}/([0-9a-f]{40})(?:\.json)?")


def content_key(image_id: str) -> str:
    """Of the bytes."""
    digest = image_id.removeprefix("file_")
    return f"files/{digest[:2]}/{digest[2:4]}/{digest}"


def record_key(image_id: str) -> str:
    """Of the record."""
    return content_key(image_id) + ".json"


def owner_key(image_id: str, owner: str) -> str:
    """Of the note that it is an owner's; without an owner, what all of them begin with."""
    return f"owners/{image_id.removeprefix('file_')}/{owner}"


def touched_key(image_id: str) -> str:
    """Of the note that it was put again."""
    return f"touched/{image_id.removeprefix('file_')}"


def picture_at(key: str) -> str | None:
    """The picture whose bytes or record have this key."""
    named = _KEY.fullmatch(key)
    return f"file_{named[1]}" if named else None
