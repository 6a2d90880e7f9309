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
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from gateway import problem
from gateway.body_limit import BodyLimitMiddleware
from gateway.dependencies import Services
from gateway.errors import RetouchError
from gateway.feature_cache import FeatureCache
from gateway.front_end.smart_mask import SmartMasks
from gateway.generation import Painter
from gateway.image_store import ImageStore
from gateway.inference import InferenceBackend
from gateway.jobs import JobQueue
from gateway.keys.authentication import AuthenticationMiddleware
from gateway.keys.key_ring import KeyRing
from gateway.keys.rate_limits import RateLimits
from gateway.keys.setup import key_store, keys_required
from gateway.model_catalog import ModelCatalog
from gateway.openai_images.attachments import Attachments
from gateway.openai_images.fields import EditFields, GenerationFields
from gateway.pictures import Pictures
from gateway.request_id import RequestIdMiddleware
from gateway.routes import files, frontend, frontend_masks, health, jobs, masks, models, openai
from gateway.schemas import JobRequest, MaskRequest, Problem
from gateway.security_headers import SecurityHeadersMiddleware
from gateway.segmentation import Segmenter
from gateway.settings import Settings, load_settings
from gateway.slow_clients import SlowBodyMiddleware
from gateway.submission import Submissions
from gateway.triton_client import TritonBackend
from gateway.triton_installation import find_installation
from gateway.triton_server import TritonServer, TritonServerOptions
from gateway.triton_supervisor import TritonSupervisor
from preprocessing.image_header import ImageLimits

logger = logging.getLogger(__name__)
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
    limits = RateLimits(settings.rate_limit_storage)
    keys = key_store(settings)

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
            app.state.services = _services(settings, used, catalog, executor, limits)
            supervisor.start()
            try:
                yield
            finally:
                await app.state.services.attachments.close()
                await app.state.services.jobs.close()
                await supervisor.stop()
                await used.close()
                keys.close()

    app = FastAPI(
        title="Retouch",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        form_limits={"max_files": 64, "max_fields": 64},
    )
    _add_middleware(app, settings, KeyRing(keys, always_required=keys_required(settings)), limits)
    _add_error_handlers(app)
    for routes in (files, masks, jobs, openai, models, health, frontend, frontend_masks):
        app.include_router(routes.router, responses={"default": {"model": Problem}})
    _describe_bodies(app)
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
    )
    server = TritonServer(installation, options)
    server.start()
    logger.info("Triton %s on %s", installation.version, server.grpc_url)
    return server


def _connect(settings: Settings, server: TritonServer | None) -> TritonBackend:
    url = server.grpc_url if server is not None else settings.triton_url
    assert url is not None  # noqa: S101
    return TritonBackend(
        url,
        segmentation_timeout_s=settings.segmentation_timeout_s,
        stall_timeout_s=settings.stall_timeout_s,
    )


def _services(
    settings: Settings,
    backend: InferenceBackend,
    catalog: ModelCatalog,
    executor: ThreadPoolExecutor,
    limits: RateLimits,
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
        painter.run,
        jobs_per_model=settings.jobs_per_model,
        max_queued=settings.max_queued_jobs,
        max_kept=settings.max_kept_jobs,
    )
    segmenter = Segmenter(backend, pictures, cache, executor)
    return Services(
        backend=backend,
        catalog=catalog,
        pictures=pictures,
        segmenter=segmenter,
        painter=painter,
        jobs=queue,
        submissions=Submissions(queue, limits),
        smart_masks=SmartMasks(segmenter, pictures),
        attachments=Attachments(queue, grace_s=settings.retry_grace_s),
    )


def _add_middleware(app: FastAPI, settings: Settings, ring: KeyRing, limits: RateLimits) -> None:
    """Add middleware, innermost first: CORS headers go on faults of ours too."""
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes)
    app.add_middleware(SlowBodyMiddleware, pause_s=settings.body_pause_s)
    app.add_middleware(
        AuthenticationMiddleware,
        ring=ring,
        limits=limits,
        front_end_without_key=settings.front_end_without_key,
    )
    app.add_middleware(RequestIdMiddleware)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["Location", "Server-Timing", "X-Request-Id"],
    )


def _add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(RetouchError, problem.retouch_error)
    app.add_exception_handler(RequestValidationError, problem.validation_error)
    app.add_exception_handler(ValidationError, problem.validation_error)
    app.add_exception_handler(HTTPException, problem.http_error)
    app.add_exception_handler(Exception, problem.unexpected_error)


def _describe_bodies(app: FastAPI) -> None:
    """Put the schemas of bodies that come as JSON or form into the OpenAPI document."""
    build = app.openapi

    def openapi() -> dict[str, object]:
        document = build()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (MaskRequest, JobRequest, GenerationFields, EditFields):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        return document

    app.openapi = openapi  # type: ignore[method-assign]
