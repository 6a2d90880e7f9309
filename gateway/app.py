"""The composition root: `create_app` builds everything; importing it does nothing."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from gateway.api_document import complete
from gateway.dependencies import Services
from gateway.edge import Edge
from gateway.feature_cache import FeatureCache
from gateway.front_end.smart_mask import SmartMasks
from gateway.generation import Painter
from gateway.image_store import ImageStore
from gateway.inference import InferenceBackend
from gateway.job_desk import JobDesk
from gateway.jobs import JobQueue
from gateway.model_catalog import ModelCatalog
from gateway.observability.job_watch import watched
from gateway.openai_images.attachments import Attachments
from gateway.pictures import Pictures
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
from gateway.segmentation import Segmenter
from gateway.settings import Settings, load_settings
from gateway.text_match import TextMatcher
from gateway.triton_connection import connect
from gateway.triton_installation import find_installation
from gateway.triton_server import TritonServer, TritonServerOptions
from gateway.triton_supervisor import TritonSupervisor
from preprocessing.image_header import ImageLimits

logger = logging.getLogger(__name__)
ROUTES = (files, masks, jobs, images, openai, models, health, metrics, frontend, frontend_masks)
DESCRIPTION = "Masks by click, pictures by job. Every error is problem+json."


def create_app(
    settings: Settings | None = None, *, backend: InferenceBackend | None = None
) -> FastAPI:
    """Build the gateway.

    Args:
        settings: read from the environment when left out.
        backend: a model server to use as it is; by default the Triton that the settings name,
            or an embedded one that lives as long as the app.
    """
    settings = settings or load_settings()
    edge = Edge.of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        server = None
        if backend is None and settings.triton_url is None:
            server = await asyncio.to_thread(start_triton, settings)
        used = backend or _connect(settings, server)
        catalog = ModelCatalog()
        supervisor = TritonSupervisor(
            used,
            catalog,
            server,
            card=settings.data_dir / "triton.json",
            interval_s=settings.canary_interval_s,
            timeout_s=settings.canary_timeout_s,
        )
        with ThreadPoolExecutor(settings.segmentation_threads, "segmentation") as executor:
            app.state.services = _services(settings, used, catalog, executor, edge, server)
            supervisor.start()
            try:
                yield
            finally:
                await app.state.services.attachments.close()
                await app.state.services.queue.close()
                await supervisor.stop()
                await used.close()
                await asyncio.to_thread(edge.close)

    app = FastAPI(
        title="Retouch",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        form_limits={"max_files": 64, "max_fields": 64},
        telemetry={
            "tracer_provider": edge.tracing.provider,
            "tracing": edge.tracing.is_on,
            "operation_spans": False,
            "metrics": False,
            "logs": False,  # they would carry what was sent
        },
    )
    edge.guard(app, settings)
    for routes in ROUTES:
        app.include_router(routes.router)
    complete(app)
    return app


def start_triton(settings: Settings) -> TritonServer:
    """Find, fetch if needed, and start the embedded Triton; blocks.

    Raises:
        TritonSetupError: it cannot be found or started; the sentence says what to do.
    """
    installation = find_installation(settings.triton_cache, python=settings.models_python)
    log_file = settings.data_dir / "logs" / "triton.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    options = TritonServerOptions(
        repository=settings.model_repository,
        python=settings.models_python,
        log_file=log_file,
        server_id=f"retouch-{secrets.token_hex(4)}",
        otlp_endpoint=settings.otlp_endpoint,
    )
    server = TritonServer(installation, options)
    server.start()
    logger.info("Triton %s on %s", installation.version, server.grpc_url)
    return server


def _connect(settings: Settings, server: TritonServer | None) -> InferenceBackend:
    url = server.grpc_url if server is not None else settings.triton_url
    assert url is not None  # noqa: S101
    shared = settings.triton_shared_memory
    if shared is None:
        shared = server is not None
    return connect(
        url,
        segmentation_timeout_s=settings.segmentation_timeout_s,
        stall_timeout_s=settings.stall_timeout_s,
        shared_slots=settings.segmentation_threads if shared else 0,
    )


def _services(
    settings: Settings,
    backend: InferenceBackend,
    catalog: ModelCatalog,
    executor: ThreadPoolExecutor,
    edge: Edge,
    server: TritonServer | None,
) -> Services:
    sizes = ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    store = ImageStore.in_folder(Path(settings.data_dir) / "images")
    pictures = Pictures(store, sizes, cache_bytes=settings.picture_cache_bytes)
    cache = FeatureCache(settings.feature_cache_bytes)
    painter = Painter(
        backend,
        pictures,
        catalog,
        preview_every=settings.preview_every,
        default_deadline_s=settings.job_deadline_s,
    )
    queue = JobQueue(
        watched(painter.run, edge.metrics, edge.tracing),
        jobs_per_model=settings.jobs_per_model,
        max_queued=settings.max_queued_jobs,
        max_kept=settings.max_kept_jobs,
    )
    desk = JobDesk(queue, edge.limits)
    texts = TextMatcher(backend, catalog, cache, executor)
    segmenter = Segmenter(backend, pictures, cache, texts, executor)
    edge.metrics.watch(lambda: queue.latest(status=None, limit=10**6, after=None), catalog, cache)
    return Services(
        backend=backend,
        catalog=catalog,
        pictures=pictures,
        segmenter=segmenter,
        painter=painter,
        jobs=desk,
        queue=queue,
        smart_masks=SmartMasks(segmenter, pictures),
        metrics=edge.metrics,
        triton_metrics_url=(lambda: server.metrics_url) if server is not None else None,
        attachments=Attachments(desk, grace_s=settings.retry_grace_s),
    )
