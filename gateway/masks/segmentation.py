"""Use case: prompts on a picture become masks.

The network sees a picture once; its output is kept, and every further prompt on the same
picture is answered from it without touching the model server.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import ImageInvalidError, ModelUnavailableError, RetouchError
from gateway.inference import InferenceBackend, ServedNetwork
from gateway.masks.feature_cache import Cached, FeatureCache
from gateway.masks.text_match import TextMatcher
from gateway.rejections import rejections
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from preprocessing.arrays import Floats, Image, Mask
from preprocessing.boxed_mask import BoxedMask
from preprocessing.fastsam import Instances, decode_detections, instance_mask, instance_patch
from preprocessing.letterbox import letterbox, plan_letterbox
from preprocessing.masks import hard
from preprocessing.operations import Operation, apply_operations
from preprocessing.prompts import Choice, Prompt, rank

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
STRIDE = 32  # of FastSAM's coarsest features: sides of what it sees are multiples of it
MAX_ALTERNATIVES = 10
_VERSION_TRIES = 3


@dataclass(frozen=True)
class Alternative:
    """Another instance that satisfies the prompt."""

    score: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class SmartMask:
    """A mask and how it was found."""

    boxed: BoxedMask
    """bool, or uint8 where an operation made a soft edge."""
    score: float
    prompt_index: int | None
    """Which prompt it answers; None when everything was asked for."""
    alternatives: tuple[Alternative, ...]
    """Other instances that satisfied the prompt, best first, at most `MAX_ALTERNATIVES`."""

    @property
    def mask(self) -> Mask:
        """The picture's (H, W) without the soft edge: levels from 128 on."""
        return hard(self.boxed.spread())


@dataclass(frozen=True)
class Segmentation(Generic[R]):
    """Masks of one picture, or what was made of them."""

    image: StoredImage
    masks: R
    cached: bool
    """The network was not asked: it had seen the picture before."""
    timings: dict[str, float]
    """Seconds by stage."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the instances of a picture."""

    prompts: Sequence[Prompt]
    """One prompt describes one object."""
    everything: bool = False
    """Ignore prompts and return all instances, best first."""
    multimask: bool = False
    """For each prompt return its alternatives too."""
    max_masks: int = 100
    """At most so many masks in all."""
    operations: Sequence[Operation] = ()
    """Done to every mask, in this order."""
    pointer: str = "/prompts/{index}"
    """Where prompt `{index}` stands in the request, for errors."""


class Segmenter:
    """Answers prompts; the CPU work and the call to the network run in `executor`'s threads."""

    def __init__(
        self,
        backend: InferenceBackend,
        pictures: Pictures,
        cache: FeatureCache,
        texts: TextMatcher,
        executor: Executor,
    ) -> None:
        self._backend = backend
        self._pictures = pictures
        self._cache = cache
        self._texts = texts
        self._executor = executor
        self._prefetches: set[asyncio.Task[None]] = set()

    async def segment(
        self, image: StoredImage, question: Question
    ) -> Segmentation[tuple[SmartMask, ...]]:
        """One mask per prompt, or all instances of the picture.

        Raises:
            ImageInvalidError: mask_not_found, no instance satisfies a prompt.
            UnsupportedValueError: text_prompts_absent, there is no model for a text.
            ValidationFailedError: a prompt is not on the picture.
            InferenceError: the model server failed.
        """
        return await self.segment_into(image, question, tuple)

    async def segment_into(
        self, image: StoredImage, question: Question, make: Callable[[Sequence[SmartMask]], R]
    ) -> Segmentation[R]:
        """As `segment`; `make` works on the masks in the thread that found them."""
        started = time.perf_counter()
        for index, prompt in enumerate(question.prompts):
            pointer = question.pointer.format(index=index)
            with rejections(pointer):
                prompt.check((image.width, image.height))
            if prompt.text:
                self._texts.require(pointer)
        key, found = await self._instances(image)
        located = time.perf_counter()
        similarities = await self._similarities(key, image, found.value, question.prompts)
        timings = {"features": located - started}

        def answer() -> R:
            masks = _answer(found.value, question, similarities)
            timings["masks"] = time.perf_counter() - located
            return make(masks)

        return Segmentation(image, await self._in_thread(answer), found.cached, timings)

    def prefetch(self, image: StoredImage) -> None:
        """Let the network see a picture in the background, before the first click on it."""
        task = asyncio.create_task(self._prefetch(image), name="prefetch")
        self._prefetches.add(task)
        task.add_done_callback(self._prefetches.discard)

    async def _prefetch(self, image: StoredImage) -> None:
        try:
            await self._instances(image)
        except RetouchError as error:
            logger.info("prefetch failed: %s", error.message, extra={"event": "prefetch"})

    async def _instances(self, image: StoredImage) -> tuple[str, Cached[Instances]]:
        """Under the key of the picture and the network's version, which may change meanwhile."""
        for _ in range(_VERSION_TRIES):
            network = await self._network()
            key = f"{image.sha256}:{network.version}"
            try:
                return key, await self._cache.get(key, lambda n=network: self._compute(image, n))  # type: ignore[misc]
            except _OtherVersionError:
                continue
        raise ModelUnavailableError("The segmentation model is being exchanged. Try again.")

    async def _network(self) -> ServedNetwork:
        known = self._backend.known_segmentation_network()
        if known is not None:
            return known
        return await self._in_thread(self._backend.segmentation_network)

    async def _compute(self, image: StoredImage, network: ServedNetwork) -> Instances:
        decoded = await self._pictures.decoded(image.id)
        return await self._in_thread(lambda: self._run_network(decoded.pixels, network))

    def _run_network(self, pixels: Image, network: ServedNetwork) -> Instances:
        height, width = pixels.shape[:2]
        plan = plan_letterbox((width, height), network.size, stride=STRIDE)
        output = self._backend.segment(letterbox(pixels, plan))
        if output.version != network.version:
            raise _OtherVersionError
        return decode_detections(output.detections, output.prototypes, plan, levels=output.levels)

    async def _similarities(
        self, key: str, image: StoredImage, instances: Instances, prompts: Sequence[Prompt]
    ) -> Mapping[str, Floats]:
        """By text; empty without texts."""
        texts = {prompt.text for prompt in prompts if prompt.text}
        if not texts or not len(instances):
            return {}
        decoded = await self._pictures.decoded(image.id)
        return {
            text: await self._texts.similarity(key, decoded.pixels, instances, text)
            for text in texts
        }

    async def _in_thread(self, work: Callable[[], T]) -> T:
        context = contextvars.copy_context()  # the call to the network belongs to this trace
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, context.run, work)


_Found = tuple[int | None, Choice, Sequence[Choice]]
"""Prompt, choice and the choice's alternatives."""


class _OtherVersionError(Exception):
    """The model server answered with another version of the network than expected."""


def _answer(
    instances: Instances, question: Question, similarities: Mapping[str, Floats]
) -> list[SmartMask]:
    found = _all(instances) if question.everything else _chosen(instances, question, similarities)
    return [
        SmartMask(
            _boxed(instances, choice.index, question.operations),
            choice.score,
            index,
            tuple(_alternative(instances, other) for other in others),
        )
        for index, choice, others in found[: question.max_masks]
    ]


def _all(instances: Instances) -> list[_Found]:
    return [(None, Choice(i, float(score)), ()) for i, score in enumerate(instances.scores)]


def _chosen(
    instances: Instances, question: Question, similarities: Mapping[str, Floats]
) -> list[_Found]:
    found: list[_Found] = []
    for index, prompt in enumerate(question.prompts):
        choices = rank(instances, prompt, similarity=similarities.get(prompt.text))
        if not choices:
            raise ImageInvalidError(
                f"Nothing was found for prompt {index}: no object of the "
                f"{len(instances)} in the picture satisfies it.",
                code="mask_not_found",
                pointer=question.pointer.format(index=index),
            )
        for place, choice in enumerate(choices if question.multimask else choices[:1]):
            others = [*choices[:place], *choices[place + 1 :]]
            found.append((index, choice, others[:MAX_ALTERNATIVES]))
    return found


def _boxed(instances: Instances, index: int, operations: Sequence[Operation]) -> BoxedMask:
    """An operation may reach beyond the instance's box."""
    if operations:
        with rejections("/ops"):
            return BoxedMask.of(apply_operations(instance_mask(instances, index), operations))
    patch, box = instance_patch(instances, index)
    width, height = instances.plan.image_wh
    return BoxedMask(patch, box, (height, width))


def _alternative(instances: Instances, choice: Choice) -> Alternative:
    x0, y0, x1, y1 = (int(value) for value in instances.pixel_boxes()[choice.index])
    return Alternative(choice.score, (x0, y0, x1, y1))
