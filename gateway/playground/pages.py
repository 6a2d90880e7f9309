"""Serves the playground's two pages and their scripts, styles and sample pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.http.page_policy import FRESH, PAGE_HEADERS

ASSETS = "/playground"
PAGES = {"/": "index.html", "/admin": "admin.html"}
STATIC = Path(__file__).parent / "static"


def add_playground(app: FastAPI) -> None:
    """Serve the pages; they hold no secret, so they need no key."""
    for path, name in PAGES.items():
        app.add_api_route(path, _page(name), methods=["GET", "HEAD"], include_in_schema=False)
    assets = GZipMiddleware(_Assets(directory=STATIC), minimum_size=1000)
    app.mount(ASSETS, assets, name="playground")


def is_playground(path: str) -> bool:
    """Whether a path is a page or one of its files."""
    return path in PAGES or path.startswith(f"{ASSETS}/")


def _page(name: str) -> Callable[[], Awaitable[FileResponse]]:
    async def page() -> FileResponse:
        return FileResponse(STATIC / name, headers=PAGE_HEADERS)

    return page


class _Assets(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = FRESH
        return response
