"""Tells the owners of jobs that they have ended: Standard Webhooks, out of band.

https://www.standardwebhooks.com: the receiver checks `webhook-signature` over id, timestamp
and body, and drops an id it has seen. A delivery is tried again with growing waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from gateway.errors import NotFoundError, RetouchError
from gateway.jobs.job import Job
from gateway.jobs.job_database import JobDatabase
from gateway.webhooks import webhook_store
from gateway.webhooks.webhook_guard import WebhookGuard
from gateway.webhooks.webhook_signature import key_of, signed_headers
from gateway.webhooks.webhook_store import Delivery

logger = logging.getLogger(__name__)
_PERIOD_S = 1.0
_TIMEOUT_S = 10.0
_MAX_REDIRECTS = 3
View = Callable[[str], Awaitable[tuple[Job, Mapping[str, Any]]]]
"""A job by its id, with what its owner sees of it."""


class WebhookCourier:
    """One background task; of several gateways the first takes a delivery."""

    def __init__(
        self,
        database: JobDatabase,
        view: View,
        *,
        secret: str,
        guard: WebhookGuard,
        period_s: float = _PERIOD_S,
    ) -> None:
        self._database = database
        self._view = view
        self._key = key_of(secret)
        self._guard = guard
        self._period_s = period_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.create_task(self._rounds(), name="webhooks")

    async def stop(self) -> None:
        """Stop; what is under way is delivered again by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _rounds(self) -> None:
        # Certificates are checked against the name, the connection goes to the checked address.
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            while True:
                try:
                    due = await self._database.call(webhook_store.take_due)
                    await asyncio.gather(*(self._deliver(client, entry) for entry in due))
                except RetouchError as error:
                    logger.warning("webhooks: %s", error.message, extra={"event": "webhooks"})
                except Exception:
                    logger.exception("webhooks failed", extra={"event": "webhooks"})
                await asyncio.sleep(self._period_s)

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            job, view = await self._view(delivery.job_id)
        except NotFoundError:
            await self._database.call(webhook_store.note_delivered, delivery)
            return
        body = json.dumps(
            {
                "id": delivery.id,
                "type": f"job.{job.status}",
                "created_at": job.completed_at,
                "data": {"job": view},
            }
        ).encode()
        problem = await self._problem_with_sending(client, delivery, body)
        if problem is None:
            await self._database.call(webhook_store.note_delivered, delivery)
        else:
            logger.warning("webhook of job %s: %s", delivery.job_id, problem)
            await self._database.call(webhook_store.note_failed, delivery, problem)

    async def _problem_with_sending(
        self, client: httpx.AsyncClient, delivery: Delivery, body: bytes
    ) -> str | None:
        headers = signed_headers(self._key, delivery.id, int(time.time()), body)
        url = delivery.url
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                answer = await self._post(client, url, headers, body)
                if not answer.is_redirect:
                    return None if answer.is_success else f"it answered {answer.status_code}"
                url = str(httpx.URL(url).join(answer.headers["location"]))
        except RetouchError as error:
            return error.message
        except httpx.HTTPError as error:
            return f"it cannot be reached: {type(error).__name__}"
        return f"it redirected more than {_MAX_REDIRECTS} times"

    async def _post(
        self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        target = await self._guard.resolve(url)
        ip = f"[{target.ip}]" if ":" in target.ip else target.ip
        request = client.build_request(
            "POST",
            f"{target.scheme}://{ip}:{target.port}{target.path}",
            content=body,
            headers={**headers, "Host": httpx.URL(url).netloc.decode()},
            extensions={"sni_hostname": target.host},
        )
        answer = await client.send(request, stream=True)
        await answer.aclose()  # what it says besides its status is not read
        return answer
