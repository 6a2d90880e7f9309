"""Opens the courier of webhooks that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.http.dependencies import Services
from gateway.jobs.job import Job
from gateway.jobs.job_service import open_database
from gateway.settings import Settings
from gateway.webhooks.webhook_courier import WebhookCourier
from gateway.webhooks.webhook_guard import WebhookGuard
from gateway.wire.job_view import view_of


def webhook_guard(settings: Settings) -> WebhookGuard | None:
    """Where webhooks may go; None when they are off."""
    if settings.webhook_secret is None:
        return None
    return WebhookGuard(allow_private=settings.webhook_allow_private)


def open_courier(settings: Settings, services: Services) -> WebhookCourier | None:
    """A courier at work; None when webhooks are off."""
    if settings.webhook_secret is None or services.webhooks is None:
        return None

    async def view(job_id: str) -> tuple[Job, Mapping[str, Any]]:
        job = await services.queue.get(job_id)
        shown = await view_of(job, services.jobs, services.pictures)
        return job, shown.model_dump(mode="json")

    courier = WebhookCourier(
        open_database(settings),
        view,
        secret=settings.webhook_secret.get_secret_value(),
        guard=services.webhooks,
    )
    courier.start()
    return courier
