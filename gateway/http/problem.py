"""Errors as `application/problem+json`: one body that RFC 9457 clients and OpenAI SDKs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from gateway.errors import RetouchError

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "image_too_large"}


async def retouch_error(request: Request, error: Exception) -> JSONResponse:
    """Render one of our errors."""
    assert isinstance(error, RetouchError)  # noqa: S101
    errors = [{"pointer": error.pointer, "detail": error.message}] if error.pointer else []
    response = _response(
        request, error.status, error.code, error.title, error.message, errors, error.members
    )
    response.headers.update(error.headers)
    return response


async def validation_error(request: Request, error: Exception) -> JSONResponse:
    """Render what pydantic found wrong with a request."""
    assert isinstance(error, RequestValidationError | ValidationError)  # noqa: S101
    errors = [
        {"pointer": _pointer(item["loc"]), "detail": str(item["msg"])} for item in error.errors()
    ]
    detail = "; ".join(f"{item['pointer']}: {item['detail']}" for item in errors[:5])
    return _response(request, 422, "validation_failed", "Validation failed", detail, errors)


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """Render what the framework refuses: unknown routes, wrong methods, large bodies."""
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _HTTP_CODES.get(error.status_code, "invalid_request")
    title = code.replace("_", " ").capitalize()
    detail = f"{request.method} {request.url.path}: {error.detail}"
    response = _response(request, error.status_code, code, title, detail, [])
    response.headers.update(error.headers or {})
    return response


async def client_gone(_request: Request, _error: Exception) -> Response:
    """For the log alone: the connection ended before the body did. 499 is nginx's word for it."""
    return Response(status_code=499)


async def unexpected_error(request: Request, _error: Exception) -> JSONResponse:
    """Render a fault of ours without its details."""
    detail = "The gateway failed; its log says why under this request id."
    return _response(request, 500, "internal_error", "Internal error", detail, [])


def _front_end_response(status: int, detail: str) -> JSONResponse:
    """The existing front end shows `detail` to its user, and knows 400 for whatever is wrong."""
    return JSONResponse({"detail": detail}, 400 if status in (415, 422) else status)


def _pointer(location: Sequence[int | str]) -> str:
    parts = location[1:] if location and location[0] in ("body", "query", "path") else location
    return "/" + "/".join(str(part) for part in parts)


def _response(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: list[dict[str, Any]],
    members: Mapping[str, str] | None = None,
) -> JSONResponse:
    if request.url.path.startswith("/api/"):
        return _front_end_response(status, detail)
    request_id = getattr(request.state, "request_id", "")
    kind = "invalid_request_error" if status < 500 else "server_error"
    parameter = errors[0]["pointer"].strip("/") if errors else None
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "errors": errors,
        "request_id": request_id,
        "error": {"message": detail, "type": kind, "param": parameter, "code": code},
        **(members or {}),
    }
    headers = {"Retry-After": "5"} if status in (429, 503) else {}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
