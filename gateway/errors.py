"""What can go wrong, one class per sentence and HTTP status.

    RetouchError
    ├── InvalidRequestError          400  the request cannot be honoured
    │   ├── ImageInvalidError        400  not a picture we can read
    │   └── UnsupportedValueError    400  a known field with a value we do not do
    ├── ValidationFailedError        422  a field has the wrong type or range
    ├── InvalidKeyError              401
    ├── ForbiddenError               403  the key's scope does not reach so far
    ├── NotFoundError                404
    ├── ConflictError                409
    │   └── FileInUseError           409  a job that has not ended needs the file
    ├── GoneError                    410
    ├── PayloadTooLargeError         413
    ├── UnsupportedFormatError       415
    ├── TooManyJobsError             429
    ├── RateLimitError               429
    ├── NotImplementedHereError      501
    ├── StorageFullError             507
    ├── StoreUnavailableError        503  the job or image store cannot be reached
    ├── InferenceError               502  the model server failed
    │   ├── ModelUnavailableError    503  not loaded, restarting or not there
    │   ├── OverloadedError          503  its queue is full
    │   ├── DoesNotFitError          507  the job needs more memory than it has
    │   └── InferenceTimeoutError    504
    └── TritonSetupError             500  the embedded server cannot start

This module imports nothing of ours: everything may raise from it, one handler renders it.
"""

from __future__ import annotations

from collections.abc import Mapping


class RetouchError(Exception):
    """Something failed; `message` is a sentence for the person who called."""

    status = 500
    code = "internal_error"
    title = "Internal error"
    headers: Mapping[str, str] = {}
    """Further headers of the answer."""
    members: Mapping[str, str] = {}
    """Further members of the problem that the answer holds."""

    def __init__(
        self, message: str, *, code: str | None = None, pointer: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.pointer = pointer
        """JSON pointer or parameter name of the field at fault."""


class InvalidRequestError(RetouchError):
    """The request cannot be honoured as it stands."""

    status, code, title = 400, "invalid_request", "Invalid request"


class ImageInvalidError(InvalidRequestError):
    """A picture or mask cannot be read or used."""

    code, title = "image_unreadable", "Invalid image"


class UnsupportedValueError(InvalidRequestError):
    """A known field has a value this server does not do."""

    code, title = "unsupported_value", "Unsupported value"


class ValidationFailedError(RetouchError):
    """A field has the wrong type or is out of range."""

    status, code, title = 422, "validation_failed", "Validation failed"


class InvalidKeyError(RetouchError):
    """No key, an unknown one, or one that was revoked."""

    status, code, title = 401, "invalid_api_key", "Invalid API key"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(RetouchError):
    """The key is good, but not for this."""

    status, code, title = 403, "forbidden", "Forbidden"


class NotFoundError(RetouchError):
    """No such file, job or model."""

    status, code, title = 404, "not_found", "Not found"


class ConflictError(RetouchError):
    """The thing exists but is not in a state that allows this."""

    status, code, title = 409, "conflict", "Conflict"


class FileInUseError(ConflictError):
    """A job that has not ended needs the file."""

    code, title = "file_in_use", "File in use"

    def __init__(self, file_id: str, job_id: str) -> None:
        super().__init__(
            f"File {file_id} is needed by job {job_id}, which has not ended: cancel the job, "
            "or delete the file when it has ended."
        )
        self.members = {"job_id": job_id}


class GoneError(RetouchError):
    """The thing was there and has been removed since."""

    status, code, title = 410, "expired", "Expired"


class PayloadTooLargeError(RetouchError):
    """A body or picture is over its limit."""

    status, code, title = 413, "image_too_large", "Too large"


class UnsupportedFormatError(RetouchError):
    """A file format or content type this server does not read."""

    status, code, title = 415, "unsupported_format", "Unsupported format"


class TooManyJobsError(RetouchError):
    """The job queue is full."""

    status, code, title = 429, "queue_full", "Queue full"


class NotImplementedHereError(RetouchError):
    """A known call that this server does not do."""

    status, code, title = 501, "not_supported", "Not supported"
    headers: Mapping[str, str] = {"x-should-retry": "false"}


class RateLimitError(RetouchError):
    """A key has used up what it may have in a minute."""

    status, code, title = 429, "rate_limit_exceeded", "Rate limit exceeded"

    def __init__(self, message: str, *, retry_after_s: int = 60) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after_s)}


class StorageFullError(RetouchError):
    """The image store has no room left."""

    status, code, title = 507, "storage_full", "Storage full"


class StoreUnavailableError(RetouchError):
    """The database that keeps jobs and keys, or the image store, cannot be reached."""

    status, code, title = 503, "store_unavailable", "Store unavailable"


class InferenceError(RetouchError):
    """The model server failed while it worked on the request."""

    status, code, title = 502, "backend_error", "Model server error"


class ModelUnavailableError(InferenceError):
    """The model is not loaded, is being restarted, or the server cannot be reached."""

    status, code, title = 503, "model_loading", "Model unavailable"


class OverloadedError(InferenceError):
    """The model server's queue is full."""

    status, code, title = 503, "overloaded", "Overloaded"


class DoesNotFitError(InferenceError):
    """The job needs more memory than the model server has, even when it runs alone."""

    status, code, title = 507, "does_not_fit", "Does not fit into memory"


class InferenceTimeoutError(InferenceError):
    """The model server did not answer in time."""

    status, code, title = 504, "deadline_exceeded", "Deadline exceeded"


class InferenceCanceledError(InferenceError):
    """The request was canceled before it ended."""

    status, code, title = 409, "canceled", "Canceled"


class TritonSetupError(RetouchError):
    """The embedded Triton cannot be found, fetched or started."""

    code, title = "triton_setup", "Triton setup failed"
