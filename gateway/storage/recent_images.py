"""Records of pictures that this process saw lately, so that it need not read them again."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

from gateway.keys.owner import current_owner
from gateway.storage.stored_image import StoredImage

_MAX_KNOWN = 4096


class RecentImages:
    """Records by picture and by who saw it; they never change, but their picture may be gone."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, str], tuple[StoredImage, float]] = OrderedDict()
        """Each with the moment, of the monotonic clock, at which it was last seen."""

    def note_seen(self, image: StoredImage) -> None:
        """Its record was read for whoever asks."""
        self._records[image.id, current_owner.get()] = image, time.monotonic()
        if len(self._records) > _MAX_KNOWN:
            self._records.popitem(last=False)

    def seen(self, image_id: str, *, within_s: float = math.inf) -> StoredImage | None:
        """The record, where whoever asks saw it, and not longer ago than that."""
        image, seen_at = self._records.get((image_id, current_owner.get()), (None, 0.0))
        return image if time.monotonic() - seen_at <= within_s else None

    def forget(self, image_id: str) -> None:
        """Whoever asks has it no more."""
        self._records.pop((image_id, current_owner.get()), None)
