"""`/v1/images`: tools that need no job: cut out, white balance, shadow preview."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from gateway.edits import cutouts
from gateway.edits.job_masks import MaskDesk, UsedMask
from gateway.edits.job_pictures import mask_of
from gateway.http.dependencies import BalancerDep, MaskDeskDep, PicturesDep
from gateway.http.multipart import read_body
from gateway.http.picture_response import PictureResponse
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from gateway.wire.image_schemas import (
    CutoutResponse,
    ImageView,
    LightView,
    MaskedImageRequest,
    MaskView,
    ShadowResponse,
    WhiteBalanceRequest,
    WhiteBalanceResponse,
)
from preprocessing.white_balance import DAYLIGHT, Light

router = APIRouter(prefix="/v1/images", tags=["images"])
Accept = Annotated[str, Header(description="image/png: the picture itself.")]


def _body(model: str, **parts: dict[str, Any]) -> dict[str, Any]:
    form = {"type": "object", "required": ["image"], "properties": parts}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}},
                "multipart/form-data": {"schema": form},
            },
        }
    }


_FILE = {"type": "string", "format": "binary"}
_MASK = {"type": "string", "example": '{"points": [[412, 300]]}'}
_MASKED_BODY = _body("MaskedImageRequest", image=_FILE, mask=_MASK)
_BALANCE_BODY = _body(
    "WhiteBalanceRequest",
    image=_FILE,
    temperature_k={"type": "number"},
    tint={"type": "number"},
    output_format={"type": "string", "enum": ["png", "jpeg"]},
)


@router.post("/extract", response_model=CutoutResponse, openapi_extra=_MASKED_BODY)
async def extract(
    request: Request, pictures: PicturesDep, mask_desk: MaskDeskDep, accept: Accept = ""
) -> CutoutResponse | Response:
    """Cut an object out onto a white square of 512 pixels, 1024 for larger objects."""
    image, used = await _masked(request, pictures, mask_desk)
    cut = await cutouts.extract(pictures, image.id, used.file_id)
    if accept.startswith("image/"):
        return await _content(pictures, cut.image, {"X-Mask-Id": cut.mask.id})
    return CutoutResponse(
        image=_view(cut.image),
        reference_mask=_view(cut.mask),
        mask=await _mask_view(pictures, used),
        warnings=[*image.warnings, *used.notes],
    )


@router.post("/shadow-preview", response_model=ShadowResponse, openapi_extra=_MASKED_BODY)
async def shadow_preview(
    request: Request, pictures: PicturesDep, mask_desk: MaskDeskDep, accept: Accept = ""
) -> ShadowResponse | Response:
    """Show the shadow that an insertion at the mask would be hinted at."""
    image, used = await _masked(request, pictures, mask_desk)
    shown = await cutouts.preview_shadow(pictures, image.id, used.file_id)
    if accept.startswith("image/"):
        return await _content(pictures, shown.image, {"X-Mask-Id": shown.mask.id})
    return ShadowResponse(
        image=_view(shown.image),
        expanded_mask=_view(shown.mask),
        mask=await _mask_view(pictures, used),
        warnings=[*image.warnings, *used.notes],
    )


@router.post("/white-balance", response_model=WhiteBalanceResponse, openapi_extra=_BALANCE_BODY)
async def white_balance(
    request: Request, pictures: PicturesDep, balancer: BalancerDep, accept: Accept = ""
) -> WhiteBalanceResponse | Response:
    """Correct the colours of a photograph at its full resolution, depth and colour profile.

    The light is estimated, or named by temperature and tint. No network is asked.
    """
    wanted = await read_body(request, WhiteBalanceRequest, pictures)
    image = await pictures.resolve(wanted.image, pointer="/image")
    light = None
    if wanted.temperature_k is not None or wanted.tint is not None:
        light = Light(wanted.temperature_k or DAYLIGHT.temperature_k, wanted.tint or 0.0)
    done = await balancer.by_light(image.id, light, form=wanted.output_format)
    cube_url = f"/v1/files/{done.cube.id}/content"
    if accept.startswith("image/"):
        return await _content(pictures, done.stored, {"X-Cube-Url": cube_url})
    assert done.light is not None and done.gains is not None  # noqa: S101, PT018
    return WhiteBalanceResponse(
        image=_view(done.stored),
        cube_url=cube_url,
        method="auto" if light is None else "light",
        light=LightView(temperature_k=done.light.temperature_k, tint=done.light.tint),
        gains=(done.gains.red, done.gains.green, done.gains.blue),
        warnings=list(done.warnings),
    )


async def _masked(
    request: Request, pictures: Pictures, mask_desk: MaskDesk
) -> tuple[StoredImage, UsedMask]:
    wanted = await read_body(request, MaskedImageRequest, pictures)
    image = await pictures.resolve(wanted.image, pointer="/image")
    semantics = wanted.mask_semantics
    return image, await mask_of(wanted.mask, image, pictures, mask_desk, semantics=semantics)


async def _content(pictures: Pictures, stored: StoredImage, headers: dict[str, str]) -> Response:
    data = await pictures.store.view(stored.id)
    headers = {"ETag": f'"{stored.sha256}"', "X-File-Id": stored.id, **headers}
    return PictureResponse(data, headers=headers, media_type=stored.media_type)


def _view(stored: StoredImage) -> ImageView:
    return ImageView(
        file_id=stored.id,
        url=f"/v1/files/{stored.id}/content",
        width=stored.width,
        height=stored.height,
        format=stored.format,
        sha256=stored.sha256,
    )


async def _mask_view(pictures: Pictures, used: UsedMask) -> MaskView:
    extent = await pictures.mask_extent(used.file_id)
    return MaskView(
        file_id=used.file_id,
        polarity=used.polarity,
        coverage=extent.shown_coverage,
        bbox=extent.box,
    )
