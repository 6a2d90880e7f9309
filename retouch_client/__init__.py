"""Client of a Retouch gateway: masks, edits, generation, jobs; sync and async.

from retouch_client import Retouch

with Retouch("http://127.0.0.1:8080") as retouch:
    mask = retouch.masks("photo.jpg", points=[(412, 300)])[0]
    edited = retouch.edit("photo.jpg", "make it blue", mask=mask)
"""

from retouch_client.async_client import AsyncRetouch
from retouch_client.client import Retouch
from retouch_client.errors import ApiError, JobFailedError, RetouchClientError, UnreachableError
from retouch_client.values import Event, Job, Mask, Output

__all__ = [
    "ApiError",
    "AsyncRetouch",
    "Event",
    "Job",
    "JobFailedError",
    "Mask",
    "Output",
    "Retouch",
    "RetouchClientError",
    "UnreachableError",
]
