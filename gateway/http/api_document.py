"""Completes the OpenAPI document: bodies of both kinds, errors as they are sent, keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from gateway.openai_images.description import ImageEditBody
from gateway.openai_images.fields import GenerationFields
from gateway.wire.image_schemas import MaskedImageRequest, WhiteBalanceRequest
from gateway.wire.mask_schemas import ComposeRequest, MaskRequest
from gateway.wire.schemas import JobRequest, Problem

BODIES: tuple[type[BaseModel], ...] = (
    MaskRequest,
    ComposeRequest,
    JobRequest,
    MaskedImageRequest,
    WhiteBalanceRequest,
    GenerationFields,
    ImageEditBody,
)
"""Models that come as JSON or as a form, which FastAPI therefore does not see."""
_REF = "#/components/schemas/{model}"
_PROBLEM_EXAMPLE = {
    "type": "about:blank",
    "title": "Unsupported value",
    "status": 400,
    "detail": "n: Input should be less than or equal to 10; got 11.",
    "instance": "/v1/images/generations",
    "code": "unsupported_value",
    "errors": [{"pointer": "/n", "detail": "Input should be less than or equal to 10"}],
    "request_id": "3f0c1d2e",
    "error": {
        "message": "n: Input should be less than or equal to 10; got 11.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "unsupported_value",
    },
}
_ANY_PICTURE = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
_EVENTS = {"text/event-stream": {"schema": {"$ref": "#/components/schemas/ServerSentEvent"}}}
_BYTES: dict[str, dict[str, Any]] = {
    "/v1/files/{file_id}/content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    "/v1/jobs/{job_id}/result": _ANY_PICTURE,
    "/v1/jobs/{job_id}/events": _EVENTS,
    "/api/generate/result-image/{task_id}": _ANY_PICTURE,
    "/api/generate/stream/{task_id}": _EVENTS,
    "/metrics": {"text/plain": {"schema": {"type": "string"}}},
}
"""What 200 answers of routes that send no JSON hold."""


_LINKS = {
    "POST /v1/files": (
        "201",
        "file_id",
        "id",
        (
            "GET /v1/files/{file_id}",
            "GET /v1/files/{file_id}/content",
            "DELETE /v1/files/{file_id}",
        ),
    ),
    "POST /v1/jobs": (
        "202",
        "job_id",
        "id",
        (
            "GET /v1/jobs/{job_id}",
            "GET /v1/jobs/{job_id}/events",
            "GET /v1/jobs/{job_id}/result",
            "POST /v1/jobs/{job_id}/cancel",
        ),
    ),
    "POST /api/generate/async": (
        "200",
        "task_id",
        "task_id",
        (
            "GET /api/generate/stream/{task_id}",
            "GET /api/generate/status/{task_id}",
            "GET /api/generate/result/{task_id}",
            "GET /api/generate/result-image/{task_id}",
            "POST /api/generate/async/cancel/{task_id}",
        ),
    ),
}
"""Where the id in an answer leads: status, parameter, member, operations."""


class ServerSentEvent(BaseModel):
    """One frame of a stream; `data` is JSON."""

    data: str
    event: str | None = None
    id: str | None = None


class FrontEndError(BaseModel):
    """Every error on `/api`: a sentence that the user sees."""

    detail: str


def complete(app: FastAPI) -> None:
    """Let the app's document say what FastAPI cannot know."""
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = build()
            _add_schemas(document)
            for method, path, operation in _operations(document):
                _describe(path, operation)
                _link(f"{method.upper()} {path}", operation)
            document["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "bearerFormat": "rt_<id>_<secret>"}
            }
            # Keys are needed once there is one; `retouch keys create` makes it.
            document["security"] = [{"key": []}, {}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _add_schemas(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    models: tuple[type[BaseModel], ...] = (*BODIES, Problem, FrontEndError, ServerSentEvent)
    for model in models:
        schema = model.model_json_schema(ref_template=_REF)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _describe(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    responses["default"] = _error_of(path)
    if "501" in responses:
        responses["501"] = responses["default"]
    if path in _BYTES:
        responses["200"]["content"] = _BYTES[path]


def _link(name: str, operation: dict[str, Any]) -> None:
    if name not in _LINKS:
        return
    status, parameter, member, targets = _LINKS[name]
    links = {}
    for target in targets:
        method, path = target.split()
        escaped = path.replace("/", "~1")
        links[target.replace("{", "").replace("}", "").replace(" ", "").replace("/", "-")] = {
            "operationRef": f"#/paths/{escaped}/{method.lower()}",
            "parameters": {parameter: f"$response.body#/{member}"},
        }
    operation["responses"][status]["links"] = links


def _error_of(path: str) -> dict[str, Any]:
    if path.startswith("/api/"):
        schema = {"$ref": _REF.format(model="FrontEndError")}
        example = {"detail": "Task not found: job_0"}
        shown = {"application/json": {"schema": schema, "example": example}}
        return {"description": "What went wrong, for the user.", "content": shown}
    schema = {"$ref": _REF.format(model="Problem")}
    content: dict[str, Any] = {
        "application/problem+json": {"schema": schema, "example": _PROBLEM_EXAMPLE}
    }
    return {"description": "What went wrong (RFC 9457).", "content": content}
