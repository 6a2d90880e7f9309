"""The OpenAPI document: complete, sound in itself, and true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.http.api_document import BODIES
from tests.gateway.conftest import Gateway, serve
from tests.gateway.problems import FIELDS

METHODS = {"get", "post", "put", "patch", "delete"}
ROUTES = {
    "GET /health/live",
    "GET /health/ready",
    "POST /v1/files",
    "GET /v1/files/{file_id}",
    "GET /v1/files/{file_id}/content",
    "DELETE /v1/files/{file_id}",
    "POST /v1/masks",
    "POST /v1/masks/compose",
    "POST /v1/images/extract",
    "POST /v1/images/shadow-preview",
    "POST /v1/images/white-balance",
    "POST /v1/jobs",
    "GET /v1/jobs",
    "GET /v1/jobs/{job_id}",
    "POST /v1/jobs/{job_id}/cancel",
    "GET /v1/jobs/{job_id}/events",
    "GET /v1/jobs/{job_id}/result",
    "GET /v1/models",
    "GET /v1/models/{name}",
    "POST /v1/models/{name}/load",
    "POST /v1/models/{name}/unload",
    "POST /v1/images/generations",
    "POST /v1/images/edits",
    "POST /v1/images/variations",
    "GET /metrics",
    "POST /api/generate/async",
    "GET /api/generate/stream/{task_id}",
    "GET /api/generate/status/{task_id}",
    "GET /api/generate/result/{task_id}",
    "GET /api/generate/result-image/{task_id}",
    "POST /api/generate/async/cancel/{task_id}",
    "POST /api/smart-mask",
    "POST /api/smart-mask/cancel/{request_id}",
    "POST /api/image-utils/extract-object",
    "GET /api/health",
    "GET /api/system/health",
}


@pytest.fixture(scope="module")
async def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    async with serve(tmp_path_factory.mktemp("data")) as gateway:
        response = await gateway.client.get("/openapi.json")
    assert response.status_code == 200
    return response.json()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from references(entry)


def resolve(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/"), reference
    for part in reference[2:].split("/"):
        document = document[part]
    return document


async def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert operations(document).keys() >= ROUTES
    for operation in operations(document).values():
        assert operation["summary"]
        assert operation["description"]
        assert operation["responses"]


async def test_it_says_which_openapi_it_is(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Retouch"
    assert document["info"]["version"]


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert {"#/components/schemas/MaskRequest", "#/components/schemas/JobRequest"} <= found
    for reference in found:
        assert isinstance(resolve(document, reference), dict), reference


async def test_every_operation_has_its_own_id(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(ids)) == len(ids)


async def test_every_part_of_a_path_is_a_parameter(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", name)), name


@pytest.mark.parametrize(
    "path", ["/v1/masks", "/v1/jobs", "/v1/images/extract", "/v1/images/white-balance"]
)
async def test_bodies_come_as_json_or_form(document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    assert content.keys() == {"application/json", "multipart/form-data"}
    schema = resolve(document, content["application/json"]["schema"]["$ref"])
    assert schema["examples"]
    assert (
        content["multipart/form-data"]["schema"]["properties"].keys() <= schema["properties"].keys()
    )


@pytest.mark.parametrize("model", BODIES)
async def test_the_examples_are_requests(document: dict[str, Any], model: type[BaseModel]) -> None:
    for example in document["components"]["schemas"][model.__name__]["examples"]:
        model.model_validate_json(json.dumps(example))


async def test_every_error_is_described_as_a_problem(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Problem"]["properties"].keys() == FIELDS
    for name, operation in operations(document).items():
        content = operation["responses"]["default"]["content"]
        if name.split()[1].startswith("/api/"):
            kind, schema = "application/json", "FrontEndError"
        else:
            kind, schema = "application/problem+json", "Problem"
        assert content.keys() == {kind}, name
        assert content[kind]["schema"] == {"$ref": f"#/components/schemas/{schema}"}
        assert content[kind]["example"]


async def test_no_error_is_described_as_fastapis_own(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)


async def test_asking_twice_gives_the_same(gateway: Gateway) -> None:
    first, second = [(await gateway.client.get("/openapi.json")).text for _ in range(2)]
    assert first == second
