"""The composition root: `create_app` builds everything; importing it does nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway.http.api_document import complete
from gateway.http.edge import Edge
from gateway.inference import InferenceBackend
from gateway.jobs.job_engine import JobEngine
from gateway.playground.pages import add_playground
from gateway.process.processor_turns import loop_first
from gateway.reference.page import add_reference
from gateway.routes import (
    files,
    frontend,
    frontend_masks,
    health,
    images,
    jobs,
    masks,
    metrics,
    models,
    openai,
)
from gateway.routes.job_poll import JobPollMiddleware
from gateway.runtime import running
from gateway.settings import Settings, load_settings

ROUTES = (files, masks, jobs, images, openai, models, health, metrics, frontend, frontend_masks)
DESCRIPTION = "Masks by click, pictures by job. Every error is problem+json."


def create_app(
    settings: Settings | None = None,
    *,
    backend: InferenceBackend | None = None,
    engine: JobEngine | None = None,
    works: bool = True,
) -> FastAPI:
    """Build the gateway.

    Args:
        settings: read from the environment when left out.
        backend: a model server to use as it is; by default the Triton that the settings name,
            or an embedded one that lives as long as the app.
        engine: what keeps the line of jobs; by default the one in the job database.
        works: whether jobs run in this process, or in workers alone.
    """
    settings = settings or load_settings()
    edge = Edge.of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        kept_up = running(settings, edge, backend=backend, engine=engine, works=works)
        async with loop_first(real_time=settings.real_time_loop), kept_up as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="Retouch",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        form_limits={"max_files": 64, "max_fields": 64},
        telemetry={
            "tracer_provider": edge.tracing.provider,
            "tracing": edge.tracing.is_on,
            "operation_spans": False,
            "metrics": False,
            "logs": False,  # they would carry what was sent
        },
    )
    # The spans of requests are FastAPI's.
    edge.guard(app, settings, *([] if edge.tracing.is_on else [JobPollMiddleware]))
    for routes in ROUTES:
        app.include_router(routes.router)
    add_reference(app)
    if settings.playground:
        add_playground(app)
    complete(app)
    return app
