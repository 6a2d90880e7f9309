"""Several Tritons as one: the least busy one works, a dead one is left out, lost work moves on.

Tritons of a pool may serve different models. A canary per Triton and model tells who answers;
a request that finds a Triton dead takes it out at once, and the next answered canary brings it
back. Masks are tried once more, on another Triton. A painting whose Triton died starts over on
another one: its seed is fixed, so it is the same picture.

The mask cache is the gateway's, so masks go to any Triton. Paintings prefer, among equally busy
Tritons, the one that saw the same picture (or prompt), since its stages keep what they made of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gateway.errors import (
    InferenceTimeoutError,
    ModelUnavailableError,
    OverloadedError,
    RetouchError,
)
from gateway.inference import (
    PIPELINE_MODELS,
    PREFILL_MODEL,
    SEGMENTATION_MODEL,
    TEXT_PROMPT_MODELS,
    InferenceBackend,
    ModelHealth,
    PaintEvent,
    PictureRequest,
    SegmentationOutput,
    ServedNetwork,
)
from gateway.triton.triton_canaries import STAGE_MODELS, called_stages
from gateway.triton.triton_endpoints import TritonEndpoints
from gateway.triton.triton_member import TritonMember, choose

logger = logging.getLogger(__name__)
T = TypeVar("T")
_WAIT_FOR_OTHERS_S = 1.0
"""How long a canary round waits for the rest, once one Triton has answered."""
_SAMPLE = 16
"""Every so many rows and columns of a picture are enough to tell it from others."""


class TritonPool:
    """An `InferenceBackend` over the Tritons that `endpoints` resolve to.

    `connect` makes the backend of one address. `refresh_s` is the time between two looks at
    names.
    """

    def __init__(
        self,
        endpoints: TritonEndpoints,
        connect: Callable[[str], InferenceBackend],
        *,
        refresh_s: float = 5.0,
    ) -> None:
        self._endpoints = endpoints
        self._connect = connect
        self._refresh_s = refresh_s
        self._refreshed_at: float | None = None
        self._manifests: dict[str, Mapping[str, Any]] = {}
        self._text_models: set[str] = set()
        # Replaced as a whole, since segmentation reads it in threads.
        self._members = {url: TritonMember(url, connect(url)) for url in endpoints.addresses}

    @property
    def members(self) -> tuple[TritonMember, ...]:
        """The Tritons as they are now."""
        return tuple(self._members.values())

    def segment(self, frame: npt.NDArray[np.uint8]) -> SegmentationOutput:
        """Run the network, on a second Triton if the first fails."""
        return self._twice(SEGMENTATION_MODEL, lambda backend: backend.segment(frame))

    def known_segmentation_network(self) -> ServedNetwork | None:
        """As the least busy Triton said of itself."""
        member = choose(self.members, SEGMENTATION_MODEL)
        return None if member is None else member.backend.known_segmentation_network()

    def segmentation_network(self) -> ServedNetwork:
        """As the first Triton says that answers."""
        return self._twice(SEGMENTATION_MODEL, lambda backend: backend.segmentation_network())

    def embed_text(self, text: str) -> npt.NDArray[np.float32]:
        """On a second Triton if the first fails."""
        return self._twice(TEXT_PROMPT_MODELS[0], lambda backend: backend.embed_text(text))

    def embedding_network(self) -> ServedNetwork:
        """As the least busy one says."""
        return self._twice(TEXT_PROMPT_MODELS[1], lambda backend: backend.embedding_network())

    def embed_pictures(self, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """On a second Triton if the first fails."""
        return self._twice(TEXT_PROMPT_MODELS[1], lambda backend: backend.embed_pictures(squares))

    async def fill(
        self, image: npt.NDArray[np.uint8], hole: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """On the least busy Triton that has the model; whoever asks has another way."""
        tried: list[str] = []
        member: TritonMember | None = self._choose(PREFILL_MODEL)
        while member is not None:
            tried.append(member.url)
            try:
                with member.at_work(PREFILL_MODEL):
                    return await member.backend.fill(image, hole)
            except ModelUnavailableError as error:
                member.failed(PREFILL_MODEL, error)  # no canary asks for it: it stays the last one
                member = choose(self.members, PREFILL_MODEL, without=tried)
        raise ModelUnavailableError(f"No model server has the model {PREFILL_MODEL}.")

    def _twice(self, model: str, call: Callable[[InferenceBackend], T]) -> T:
        """What a Triton answers for `model`, or else another one; blocks."""
        first = self._choose(model)
        try:
            return _once(first, model, call)
        except (ModelUnavailableError, OverloadedError, InferenceTimeoutError) as error:
            second = choose(self.members, model, without=(first.url,))
            if second is None:
                raise
            _log_move(model, first, error)
            return _once(second, model, call)

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        """Stream one job; after a move its steps begin at 1 again."""
        started, affinity = time.monotonic(), _affinity(request)
        tried: list[str] = []
        member: TritonMember | None = self._choose(request.model, affinity)
        while member is not None:
            tried.append(member.url)
            left = _with_time_left(request, time.monotonic() - started)
            try:
                with member.at_work(request.model):
                    async with aclosing(member.backend.paint(left)) as events:  # type: ignore[type-var]
                        async for event in events:
                            yield event
                return
            except (ModelUnavailableError, OverloadedError) as error:
                if isinstance(error, ModelUnavailableError):
                    member.failed(request.model, error)
                _log_move(request.model, member, error)
                member = choose(self.members, request.model, affinity=affinity, without=tried)
                if member is None:
                    raise

    def _choose(self, model: str, affinity: bytes | None = None) -> TritonMember:
        member = choose(self.members, model, affinity=affinity)
        if member is None:
            raise ModelUnavailableError("No model server has been found yet.")
        return member

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:
        """Send the canary to every Triton; one that answers makes the model ready."""
        await self._refresh()
        members = [member for member in self.members if not member.leaving]
        if not members:
            detail = "no model server has been found"
            return ModelHealth(model, ready=False, detail=detail)
        canaries = [member.canary(model, timeout_s=timeout_s) for member in members]
        _, late = await asyncio.wait(canaries, timeout=min(_WAIT_FOR_OTHERS_S, timeout_s))
        if late and not any(_is_ready(member, model) for member in members):
            await asyncio.wait(canaries)
        health = _of_all(model, members)
        if health.ready and health.manifest and model in PIPELINE_MODELS:
            self._manifests[model] = health.manifest
        return health

    async def model_names(self) -> list[str]:
        """Pipelines first; once all have told which stages they call, no others.

        Models for text prompts count where a Triton ever had them.
        """
        stages: Iterable[str] = STAGE_MODELS
        if len(self._manifests) == len(PIPELINE_MODELS):
            stages = called_stages(self._manifests.values())
        asked = (member.backend.model_names() for member in self.members)
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if not isinstance(answer, BaseException):
                self._text_models.update(set(answer) & set(TEXT_PROMPT_MODELS))
        return [*PIPELINE_MODELS, SEGMENTATION_MODEL, *stages, *sorted(self._text_models)]

    async def load(self, model: str) -> None:
        """Load the model on every Triton that ever served it, or else on all."""
        await self._on_all(model, lambda backend: backend.load(model))

    async def unload(self, model: str) -> None:
        """Unload the model on every Triton that ever served it, or else on all."""
        await self._on_all(model, lambda backend: backend.unload(model))

    async def _on_all(self, model: str, call: Callable[[InferenceBackend], Any]) -> None:
        members = [m for m in self.members if m.serves(model)] or list(self.members)
        await asyncio.gather(*(call(member.backend) for member in members))

    async def close(self) -> None:
        """Let go of all."""
        await asyncio.gather(*(member.close() for member in self.members))

    async def _refresh(self) -> None:
        """Take in the addresses that names resolve to now."""
        now = time.monotonic()
        if self._refreshed_at is not None and now - self._refreshed_at < self._refresh_s:
            return
        self._refreshed_at = now
        try:
            urls = await asyncio.to_thread(self._endpoints.resolve)
        except OSError as error:  # those that are known stay
            logger.warning("no Triton found by name: %s", error, extra={"event": "triton_dns"})
            return
        members = dict(self._members)
        for url in urls:
            if url not in members:
                logger.info("Triton at %s joins", url, extra={"event": "triton_joins"})
                members[url] = TritonMember(url, self._connect(url))
        for url, member in list(members.items()):
            member.leaving = url not in urls
            if member.leaving and not member.outstanding:
                logger.info("Triton at %s left", url, extra={"event": "triton_left"})
                await members.pop(url).close()
        self._members = members


def _once(member: TritonMember, model: str, call: Callable[[InferenceBackend], T]) -> T:
    with member.at_work(model):
        try:
            return call(member.backend)
        except (ModelUnavailableError, InferenceTimeoutError) as error:
            member.failed(model, error)
            raise


def _is_ready(member: TritonMember, model: str) -> bool:
    health = member.health.get(model)
    return health is not None and health.ready


def _of_all(model: str, members: list[TritonMember]) -> ModelHealth:
    """One answer for all: ready where one is, slow where all that serve it keep us waiting."""
    known = [member.health[model] for member in members if model in member.health]
    ready = [health for health in known if health.ready]
    if ready:
        serving = sum(member.serves(model) for member in members)
        detail = "" if len(ready) == serving else f"{len(ready)} of {serving} servers answer"
        return replace(ready[0], detail=detail)
    slow = [health for health in known if health.slow]
    return (slow or known or [ModelHealth(model, ready=False, detail="no answer yet")])[0]


def _affinity(request: PictureRequest) -> bytes:
    """What the stages keep answers for: the picture that is edited, or else the prompt."""
    if not request.images:
        return request.prompt.encode()
    return request.images[0][::_SAMPLE, ::_SAMPLE].tobytes()


def _with_time_left(request: PictureRequest, elapsed_s: float) -> PictureRequest:
    if request.deadline_s is None:
        return request
    return replace(request, deadline_s=max(0.001, request.deadline_s - elapsed_s))


def _log_move(model: str, member: TritonMember, error: RetouchError) -> None:
    fields = {"event": "triton_failed", "model": model, "triton": member.url}
    logger.warning("%s on %s: %s", model, member.url, error.message, extra=fields)
