"""Paints a job's picture from where an earlier start of the job had come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from gateway.inference import InferenceBackend, PaintEvent, PictureRequest, StepDone
from gateway.jobs.job import Job
from gateway.painting.saved_states import SavedStates


async def paint_on(
    backend: InferenceBackend,
    request: PictureRequest,
    states: SavedStates,
    job: Job,
    picture: int,
) -> AsyncIterator[PaintEvent]:
    """Like `backend.paint`, but behind the state that was kept; keeps new ones on the way.

    A state that comes while the one before is still being written is left out.
    """
    if states.every:
        was_started = job.attempts > 1 or job.ticket > 1
        saved = await states.latest(job.id, picture) if was_started else None
        request = replace(request, save_every=states.every, saved=saved)
    events: AsyncIterator[PaintEvent] = backend.paint(request)
    keeping: asyncio.Task[None] | None = None
    try:
        # Closing the stream is what cancels the work in the model server.
        async with aclosing(events) as stream:  # type: ignore[type-var]
            async for event in stream:
                state = event.state if isinstance(event, StepDone) else None
                if state is not None and (keeping is None or keeping.done()):
                    keeping = asyncio.create_task(states.keep(job.id, picture, state))
                yield event
    finally:
        if keeping is not None:
            keeping.cancel()
