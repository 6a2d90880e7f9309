"""How well the objects of a picture fit a text, by a CLIP model pair where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from gateway.errors import UnsupportedValueError
from gateway.inference import TEXT_PROMPT_MODELS, InferenceBackend
from gateway.masks.feature_cache import FeatureCache
from gateway.model_catalog import ModelCatalog
from preprocessing.arrays import Image
from preprocessing.fastsam import Instances
from preprocessing.object_crops import crop_objects, likeness

MAX_OBJECTS = 64
"""The best instances of a picture are compared with a text, no more."""
HOW_TO_ADD = "retouch-export clip --source openai/clip-vit-base-patch32"
T = TypeVar("T")
Floats = npt.NDArray[np.float32]


class TextMatcher:
    """Compares texts with the objects of pictures; an object is looked at once."""

    def __init__(
        self,
        backend: InferenceBackend,
        catalog: ModelCatalog,
        cache: FeatureCache,
        executor: Executor,
    ) -> None:
        self._backend = backend
        self._catalog = catalog
        self._cache = cache
        self._executor = executor

    def require(self, pointer: str) -> None:
        """Check that there are models for text prompts.

        Raises:
            UnsupportedValueError: text_prompts_absent; the sentence says how to add them.
        """
        if any(self._catalog.get(name) is None for name in TEXT_PROMPT_MODELS):
            raise UnsupportedValueError(
                f"Text prompts need the models {' and '.join(TEXT_PROMPT_MODELS)}, which this "
                f"server does not have. Add them with: {HOW_TO_ADD}",
                code="text_prompts_absent",
                pointer=pointer,
            )

    async def similarity(self, key: str, pixels: Image, instances: Instances, text: str) -> Floats:
        """Share (N,) of each instance in the text's meaning, 0 beyond `MAX_OBJECTS`.

        Args:
            key: of the picture and the version of the network that found the instances.
            pixels: the picture.
            instances: at least one.
            text: what to look for.
        """

        network = await self._in_thread(self._backend.embedding_network)

        async def look() -> Floats:
            return await self._in_thread(lambda: self._look(pixels, instances, network.size))

        objects = await self._cache.get(f"{key}:clip:{network.version}", look)
        words = await self._in_thread(lambda: self._backend.embed_text(text))
        shares = np.zeros(len(instances), np.float32)
        shares[: len(objects.value)] = likeness(words, objects.value)
        return shares

    def _look(self, pixels: Image, instances: Instances, side: int) -> Floats:
        crops = crop_objects(pixels, instances, side, MAX_OBJECTS)
        return self._backend.embed_pictures(crops)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
