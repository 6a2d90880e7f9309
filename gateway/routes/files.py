"""`/v1/files`: pictures uploaded once and used by id."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.responses import RedirectResponse

from gateway.http.dependencies import PicturesDep, SegmenterDep
from gateway.http.picture_response import PictureResponse
from gateway.wire.schemas import FileInfo

router = APIRouter(prefix="/v1/files", tags=["files"])
_REDIRECT = {
    "description": "The bytes are at the image store, for a while (RETOUCH_STORE_PRESIGN_S)."
}


@router.post("", status_code=201)
async def upload(
    pictures: PicturesDep,
    segmenter: SegmenterDep,
    file: Annotated[UploadFile, File(description="PNG, JPEG, WebP, TIFF, BMP or GIF.")],
    prefetch: Annotated[
        bool, Form(description="Let the segmentation network see it now, before the first click.")
    ] = False,
) -> FileInfo:
    """Upload a picture. The same bytes get the same id."""
    stored = await pictures.take_in(await file.read(), pointer="/file")
    if prefetch:
        segmenter.prefetch(stored)
    return FileInfo(**asdict(stored))


@router.get("/{file_id}")
async def info(pictures: PicturesDep, file_id: str) -> FileInfo:
    """What is known of a picture."""
    return FileInfo(**asdict(await pictures.store.info(file_id)))


@router.get("/{file_id}/content", response_class=Response, responses={302: _REDIRECT})
async def content(pictures: PicturesDep, file_id: str) -> Response:
    """The bytes as they were uploaded; perhaps by a redirect to the image store."""
    if url := await pictures.store.download_url(file_id):
        return RedirectResponse(url, status_code=302, headers={"Cache-Control": "no-store"})
    stored = await pictures.store.info(file_id)
    headers = {"ETag": f'"{stored.sha256}"', "Cache-Control": "private, max-age=3600, immutable"}
    data = await pictures.store.view(file_id)
    return PictureResponse(data, headers=headers, media_type=stored.media_type)


@router.delete("/{file_id}", status_code=204)
async def delete(pictures: PicturesDep, file_id: str) -> None:
    """Forget a picture."""
    await pictures.forget(file_id)
