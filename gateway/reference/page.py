"""Serves `/docs`: Swagger UI over the OpenAPI document, without a byte from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route, Router

from gateway.http.page_policy import FRESH, PAGE_HEADERS

ADDRESS = "/docs"
STATIC = Path(__file__).parent / "static"
SWAGGER_UI = Path(str(files("fastapi_swagger.resources")))
"""Its files as they come with a package of their own; nothing else of that package is used."""
ASSETS = {
    "swagger-ui-bundle.js": SWAGGER_UI,
    "swagger-ui.css": SWAGGER_UI,
    "favicon-32x32.png": SWAGGER_UI,
    "start.js": STATIC,
}


def add_reference(app: FastAPI) -> None:
    """Serve the page; it holds no secret, so it needs no key."""
    app.add_api_route(ADDRESS, _page, methods=["GET", "HEAD"], include_in_schema=False)
    router = Router([Route(f"/{name}", _asset) for name in ASSETS])
    app.mount(ADDRESS, GZipMiddleware(router, minimum_size=1000), name="reference")


def is_reference(path: str) -> bool:
    """Whether a path is the page or one of its files."""
    return path == ADDRESS or path.startswith(f"{ADDRESS}/")


async def _page() -> FileResponse:
    return FileResponse(STATIC / "index.html", headers=PAGE_HEADERS)


async def _asset(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return FileResponse(ASSETS[name] / name, headers={"Cache-Control": FRESH})
