"""What is known of pictures that were taken in just now, without reading them again."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from gateway.edits.job_masks import MaskDesk
from gateway.masks.segmentation import Segmenter
from gateway.storage.image_store import ImageStore
from gateway.storage.pictures import Pictures
from preprocessing.codec import encode_png
from preprocessing.image_header import ImageLimits

LEVELS = np.arange(6400, dtype=np.uint8).reshape(80, 80)


def pictures_in(folder: Path, *, cache_bytes: int) -> Pictures:
    return Pictures(ImageStore.in_folder(folder), ImageLimits(), cache_bytes=cache_bytes)


async def test_a_grey_file_is_a_picture_too_and_stays_a_grey_one(tmp_path: Path) -> None:
    pictures = pictures_in(tmp_path, cache_bytes=2**20)
    stored = await pictures.take_in(encode_png(LEVELS))
    assert (stored.width, stored.height, stored.format) == (80, 80, "png")
    for _ in range(2):
        grey = await pictures.grey(stored.id)
        assert grey is not None
        np.testing.assert_array_equal(grey, LEVELS)
        decoded = await pictures.decoded(stored.id)
        np.testing.assert_array_equal(decoded.pixels, np.dstack([LEVELS] * 3))


async def test_a_picture_in_colours_has_no_grey(tmp_path: Path) -> None:
    pictures = pictures_in(tmp_path, cache_bytes=2**20)
    stored = await pictures.take_in(encode_png(np.dstack([LEVELS] * 3)))
    assert await pictures.grey(stored.id) is None
    np.testing.assert_array_equal((await pictures.decoded(stored.id)).pixels[..., 1], LEVELS)


@pytest.mark.parametrize(("cache_bytes", "known"), [(6399, False), (6400, True)])
async def test_a_grey_file_takes_as_much_of_the_cache_as_it_has_levels(
    tmp_path: Path, cache_bytes: int, known: bool
) -> None:
    pictures = pictures_in(tmp_path, cache_bytes=cache_bytes)
    stored = await pictures.take_in(encode_png(LEVELS))
    assert (await pictures.grey(stored.id) is not None) == known
    np.testing.assert_array_equal(
        (await pictures.decoded(stored.id)).pixels, np.dstack([LEVELS] * 3)
    )


@pytest.mark.parametrize("scale", [1, 2], ids=["as it came", "resized"])
async def test_what_a_mask_selects_is_known_once_it_was_read(tmp_path: Path, scale: int) -> None:
    pictures = pictures_in(tmp_path, cache_bytes=2**20)
    levels = np.zeros((80, 80), np.uint8)
    levels[10:30, 20:50] = 255
    mask = await pictures.take_in(encode_png(levels))
    size = {"width": 80 * scale, "height": 80 * scale}
    image = await pictures.store.put(b"picture", **size, format="png")
    desk = MaskDesk(pictures, cast(Segmenter, None))
    used = await desk.read(mask.id, image)
    known = pictures.known_extent(used.file_id)
    assert known is not None
    assert not known.is_all
    assert known.box == tuple(scale * side for side in (20, 10, 50, 30))
    counted = await pictures_in(tmp_path, cache_bytes=0).mask_extent(used.file_id)
    assert known == counted
