"""Records of pictures that this process saw lately, so that it need not read them again."""

from __future__ import annotations

from collections import OrderedDict

from gateway.keys.owner import current_owner
from gateway.storage.stored_image import StoredImage

_MAX_KNOWN = 4096


class RecentImages:
    """Records by picture and by who saw it; they never change, but their picture may be gone."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, str], StoredImage] = OrderedDict()

    def note_seen(self, image: StoredImage) -> None:
        """Its record was read for whoever asks."""
        self._records[image.id, current_owner.get()] = image
        if len(self._records) > _MAX_KNOWN:
            self._records.popitem(last=False)

    def seen(self, image_id: str) -> StoredImage | None:
        """The record, where whoever asks saw it."""
        return self._records.get((image_id, current_owner.get()))
