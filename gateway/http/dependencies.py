"""What routes ask for, by type.

All are coroutines: FastAPI would run plain functions in a thread each, 12 hops per request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from gateway.edits.job_masks import MaskDesk
from gateway.edits.white_balancing import WhiteBalancer
from gateway.errors import UnsupportedValueError
from gateway.front_end.smart_mask import SmartMasks
from gateway.inference import InferenceBackend
from gateway.jobs.job import Job
from gateway.jobs.job_desk import JobDesk
from gateway.jobs.job_queue import JobQueue
from gateway.keys.api_key import ApiKey
from gateway.masks.segmentation import Segmenter
from gateway.model_catalog import ModelCatalog
from gateway.observability.metrics import GatewayMetrics
from gateway.openai_images.attachments import Attachments
from gateway.painting.generation import Painter
from gateway.storage.pictures import Pictures
from gateway.triton.triton_supervisor import TritonSupervisor
from gateway.webhooks.webhook_guard import WebhookGuard
from gateway.wire.job_answers import JobAnswers


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything a route may use; made once by `create_app`."""

    backend: InferenceBackend
    supervisor: TritonSupervisor
    pictures: Pictures
    segmenter: Segmenter
    painter: Painter
    jobs: JobDesk
    queue: JobQueue
    attachments: Attachments
    metrics: GatewayMetrics
    triton_metrics_url: Callable[[], str] | None
    smart_masks: SmartMasks
    answers: JobAnswers
    webhooks: WebhookGuard | None = None
    """Where webhooks may go; None when they are off."""

    @property
    def catalog(self) -> ModelCatalog:
        """What the models said when they were last asked."""
        return self.supervisor.catalog

    def check_webhook(self, url: str | None) -> None:
        """Refuse a webhook that could not be delivered.

        Raises:
            UnsupportedValueError: webhooks are off.
            InvalidRequestError: the address is refused.
        """
        if url is None:
            return
        if self.webhooks is None:
            message = "Webhooks are off: RETOUCH_WEBHOOK_SECRET is not set."
            raise UnsupportedValueError(message, pointer="/webhook")
        self.webhooks.check(url)


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _pictures(services: ServicesDep) -> Pictures:
    return services.pictures


async def _segmenter(services: ServicesDep) -> Segmenter:
    return services.segmenter


async def _mask_desk(services: ServicesDep) -> MaskDesk:
    return MaskDesk(services.pictures, services.segmenter)


async def _balancer(services: ServicesDep) -> WhiteBalancer:
    return WhiteBalancer(services.pictures)


async def _painter(services: ServicesDep) -> Painter:
    return services.painter


async def _jobs(services: ServicesDep) -> JobDesk:
    return services.jobs


async def _catalog(services: ServicesDep) -> ModelCatalog:
    return services.catalog


PicturesDep = Annotated[Pictures, Depends(_pictures)]
SegmenterDep = Annotated[Segmenter, Depends(_segmenter)]
MaskDeskDep = Annotated[MaskDesk, Depends(_mask_desk)]
BalancerDep = Annotated[WhiteBalancer, Depends(_balancer)]
PainterDep = Annotated[Painter, Depends(_painter)]
JobsDep = Annotated[JobDesk, Depends(_jobs)]
CatalogDep = Annotated[ModelCatalog, Depends(_catalog)]


async def _key(request: Request) -> ApiKey | None:
    return getattr(request.state, "key", None)


KeyDep = Annotated[ApiKey | None, Depends(_key)]


async def _job(job_id: str, jobs: JobsDep) -> Job:
    return await jobs.get(job_id)


JobDep = Annotated[Job, Depends(_job)]


async def _glanced_job(job_id: str, jobs: JobsDep) -> Job:
    return (await jobs.glance(job_id)).job


GlancedJobDep = Annotated[Job, Depends(_glanced_job)]
"""The same in one look with others who ask at a time, for what many ask at once."""
