"""What every error's body must have."""

from __future__ import annotations

from typing import Any

import httpx

FIELDS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "code",
    "errors",
    "request_id",
    "error",
}


def assert_problem(
    response: httpx.Response, *, further: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    """The problem in `response`, after a look at each field; `further` members are there too."""
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem.keys() == FIELDS | further
    assert problem["status"] == response.status_code
    assert problem["instance"] == response.request.url.path
    assert problem["request_id"] == response.headers["x-request-id"]
    assert all(problem[name] for name in ("type", "title", "detail", "code"))
    assert all(entry.keys() == {"pointer", "detail"} for entry in problem["errors"])
    assert all(entry["pointer"].startswith("/") for entry in problem["errors"])
    first = problem["errors"][0]["pointer"].strip("/") if problem["errors"] else None
    assert problem["error"] == {
        "message": problem["detail"],
        "type": "invalid_request_error" if response.status_code < 500 else "server_error",
        "param": first,
        "code": problem["code"],
    }
    return problem
