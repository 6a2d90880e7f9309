"""Use case: a first guess of what is behind an object, by the best means there are."""

from __future__ import annotations

import logging

import numpy as np

from gateway.errors import RetouchError
from gateway.inference import InferenceBackend
from gateway.process.image_work import image_work
from preprocessing.arrays import Image, Mask
from preprocessing.prefill import grown, telea

logger = logging.getLogger(__name__)


async def prefill(backend: InferenceBackend, image: Image, mask: Mask, *, grow_px: int) -> Image:
    """Fill the grown mask by the repository's `lama` model, or without it by Telea's method.

    It never fails for lack of a model: it is a hint to the generator that does the removal.
    """
    hole = await image_work(grown, mask, grow_px)
    try:
        return await backend.fill(image, hole.view(np.uint8) * np.uint8(255))
    except RetouchError as error:
        logger.debug("prefill without a model: %s", error.message)
    return await image_work(telea, image, hole, grow_px=0)
