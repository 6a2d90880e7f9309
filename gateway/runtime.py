"""Everything behind the routes, built and kept going: for the gateway, and for a worker alone."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

from gateway.front_end.smart_mask import SmartMasks
from gateway.http.dependencies import Services
from gateway.http.edge import Edge
from gateway.inference import InferenceBackend
from gateway.jobs.job_desk import JobDesk
from gateway.jobs.job_engine import JobEngine
from gateway.jobs.job_queue import JobQueue, Runner
from gateway.jobs.job_service import open_database, open_queue
from gateway.masks.feature_cache import FeatureCache
from gateway.masks.segmentation import Segmenter
from gateway.masks.text_match import TextMatcher
from gateway.model_catalog import ModelCatalog
from gateway.observability.job_watch import watched
from gateway.openai_images.attachments import Attachments
from gateway.painting.generation import Painter
from gateway.painting.saved_states import SavedStates
from gateway.process.processor_turns import give_way
from gateway.settings import Settings
from gateway.storage.file_removals import FileRemovals
from gateway.storage.image_store import ImageStore
from gateway.storage.object_store import ObjectStore
from gateway.storage.picture_sweep import PictureSweep
from gateway.storage.pictures import Pictures
from gateway.triton.triton_connection import connect
from gateway.triton.triton_installation import find_installation
from gateway.triton.triton_server import TritonServer, TritonServerOptions
from gateway.triton.triton_supervisor import TritonSupervisor
from gateway.webhooks.webhook_service import open_courier, webhook_guard
from gateway.wire.job_answers import JobAnswers
from preprocessing.image_header import ImageLimits

logger = logging.getLogger(__name__)


@asynccontextmanager
async def running(
    settings: Settings,
    edge: Edge,
    *,
    backend: InferenceBackend | None = None,
    engine: JobEngine | None = None,
    works: bool = True,
) -> AsyncIterator[Services]:
    """The use cases over a model server and a job queue, until the context is left.

    Args:
        settings: what to build.
        edge: limits, metrics and traces to use; closed in the end.
        backend: a model server to use as it is; by default the Triton that the settings name,
            or an embedded one that lives as long as the context.
        engine: what keeps the line of jobs; by default the one in the job database.
        works: whether jobs run here.
    """
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

    database = open_database(settings)
    removals = FileRemovals(database)
    store = ImageStore.at(
        settings.image_store_url, removals=removals, presign_s=settings.store_presign_s
    )

    def queue_of(runner: Runner) -> JobQueue:
        return open_queue(settings, runner, catalog, database=database, engine=engine, works=works)

    with ThreadPoolExecutor(
        settings.segmentation_threads, "segmentation", initializer=give_way
    ) as executor:
        services = _services(settings, used, supervisor, executor, edge, store, queue_of)
        if server is not None:
            services = replace(services, triton_metrics_url=lambda: server.metrics_url)
        supervisor.start()
        try:
            async with _jobs_open(settings, services), _swept(settings, store, removals):
                yield services
        finally:
            await supervisor.stop()
            await used.close()
            await asyncio.to_thread(edge.close)


@asynccontextmanager
async def _jobs_open(settings: Settings, services: Services) -> AsyncIterator[None]:
    await services.queue.start()
    courier = open_courier(settings, services)
    try:
        yield
    finally:
        await services.attachments.close()
        await services.queue.close()
        if courier is not None:
            await courier.stop()


@asynccontextmanager
async def _swept(
    settings: Settings, store: ImageStore, removals: FileRemovals
) -> AsyncIterator[None]:
    """Old pictures are removed for as long as the context is open."""
    if not settings.file_ttl_s:
        yield
        return
    sweep = PictureSweep(store, removals, ttl_s=settings.file_ttl_s)
    sweep.start()
    try:
        yield
    finally:
        await sweep.stop()


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
    supervisor: TritonSupervisor,
    executor: ThreadPoolExecutor,
    edge: Edge,
    store: ImageStore,
    queue_of: Callable[[Runner], JobQueue],
) -> Services:
    catalog = supervisor.catalog
    sizes = ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    pictures = Pictures(store, sizes, cache_bytes=settings.picture_cache_bytes)
    cache = FeatureCache(settings.feature_cache_bytes)
    painter = Painter(
        backend,
        pictures,
        catalog,
        states=SavedStates(
            ObjectStore.at(settings.image_store_url), every=settings.save_latents_every
        ),
        preview_every=settings.preview_every,
        default_deadline_s=settings.job_deadline_s,
    )
    queue = queue_of(watched(painter.run, edge.metrics, edge.tracing))
    desk = JobDesk(queue, edge.limits)
    texts = TextMatcher(backend, catalog, cache, executor)
    segmenter = Segmenter(backend, pictures, cache, texts, executor)
    edge.metrics.watch(catalog, cache)
    return Services(
        backend=backend,
        supervisor=supervisor,
        pictures=pictures,
        segmenter=segmenter,
        painter=painter,
        jobs=desk,
        queue=queue,
        smart_masks=SmartMasks(segmenter, pictures),
        answers=JobAnswers(desk, pictures),
        metrics=edge.metrics,
        triton_metrics_url=None,
        attachments=Attachments(desk, grace_s=settings.retry_grace_s),
        webhooks=webhook_guard(settings),
    )
