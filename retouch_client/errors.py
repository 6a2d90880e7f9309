"""What can go wrong.

RetouchClientError
├── UnreachableError    no gateway answers
├── ApiError            the gateway refused; code, status and request id say what
└── JobFailedError      the job ended without a picture
"""

from __future__ import annotations

import httpx


class RetouchClientError(Exception):
    """Something failed; the text is a sentence."""


class UnreachableError(RetouchClientError):
    """No gateway answers at the address."""


class ApiError(RetouchClientError):
    """The gateway refused a request."""

    def __init__(self, message: str, *, status: int, code: str, request_id: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id

    @classmethod
    def of(cls, response: httpx.Response) -> ApiError:
        """From a problem, or from whatever a proxy in between answered; the body must be read."""
        try:
            problem = response.json()
            message, code = str(problem["detail"]), str(problem["code"])
        except (ValueError, KeyError, TypeError):
            message, code = f"The server answered {response.status_code}.", "unknown"
        request_id = response.headers.get("x-request-id", "")
        return cls(message, status=response.status_code, code=code, request_id=request_id)


class JobFailedError(RetouchClientError):
    """The job failed or was canceled."""

    def __init__(self, message: str, *, job_id: str, code: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code
