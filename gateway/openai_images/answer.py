"""A job that ended, as the Images API answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pybase64

from gateway.jobs.job import Job
from gateway.openai_images.fields import ImageFields
from gateway.rejections import rejections
from gateway.storage.pictures import Pictures
from preprocessing import codec
from preprocessing.arrays import Image

PIXELS_PER_TOKEN_SIDE = 16
"""A token of the transformer is 2 x 2 latents of 8 x 8 pixels (Qwen-Image's VAE and patch)."""
_DEFAULT_QUALITY = 90


@dataclass(frozen=True)
class Encoding:
    """How pictures leave."""

    format: str
    quality: int

    @classmethod
    def of(cls, fields: ImageFields) -> Encoding:
        """What the request asks for."""
        asked = fields.output_compression
        return cls(fields.output_format, _DEFAULT_QUALITY if asked is None else max(1, asked))

    def encode(self, pixels: Image) -> bytes:
        """Bytes of a picture; CPU work."""
        with rejections("/output_format"):
            if self.format == "jpeg":
                return codec.encode_jpeg(pixels, self.quality)
            if self.format == "webp":
                return codec.encode_webp(pixels, self.quality)
            return codec.encode_png(pixels)


async def image_response(
    job: Job, fields: ImageFields, pictures: Pictures, base_url: str
) -> dict[str, Any]:
    """The body of a request that waited: OpenAI's members, then ours."""
    data = [await _entry(entry, fields, pictures, base_url) for entry in job.output]
    return {
        "created": int(job.completed_at or job.created_at),
        "data": data,
        **described(job, fields),
        "usage": usage(job),
        **receipt(job, fields),
    }


def described(job: Job, fields: ImageFields) -> dict[str, Any]:
    """What answers and stream events say of their picture."""
    if job.output:
        width, height = job.output[0]["width"], job.output[0]["height"]
    else:
        width, height = job.request["width"], job.request["height"]
    return {
        "size": f"{width}x{height}",
        "quality": fields.quality,
        "output_format": fields.output_format,
        "background": "opaque",
    }


def receipt(job: Job, fields: ImageFields) -> dict[str, Any]:
    """Our own members: SDKs keep them as extras."""
    names = ("num_inference_steps", "true_cfg_scale", "preserve", "feather")
    mask = job.request.get("mask")
    return {
        "id": job.id,
        "model": job.model,
        "task": job.task,
        "parameters": {name: job.request[name] for name in names if name in job.request},
        "mask": {"file_id": mask, "polarity": job.request.get("mask_polarity", "white")}
        if mask
        else None,
        "preservation": job.preservation,
        "timings": job.timings,
        "warnings": [*fields.warnings, *job.warnings],
    }


def usage(job: Job) -> dict[str, Any]:
    """Tokens of the painted pictures, as the transformer counts them; inputs are not counted."""
    side = PIXELS_PER_TOKEN_SIDE
    tokens = (job.request["width"] // side) * (job.request["height"] // side)
    painted = tokens * len(job.output)
    return {
        "input_tokens": 0,
        "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
        "output_tokens": painted,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": painted},
        "total_tokens": painted,
    }


async def encoded(entry: Mapping[str, Any], fields: ImageFields, pictures: Pictures) -> bytes:
    """Bytes of one output in the format that was asked for."""
    if entry["format"] == fields.output_format:
        return await pictures.store.content(entry["file_id"])
    pixels = (await pictures.decoded(entry["file_id"])).pixels
    return await asyncio.to_thread(Encoding.of(fields).encode, pixels)


async def _entry(
    entry: Mapping[str, Any], fields: ImageFields, pictures: Pictures, base_url: str
) -> dict[str, Any]:
    shared = {"revised_prompt": None, "seed": entry["seed"]}
    data = await encoded(entry, fields, pictures)
    if fields.response_format == "b64_json":
        return {
            "b64_json": await asyncio.to_thread(pybase64.b64encode_as_string, data),
            "url": None,
            **shared,
        }
    stored = await pictures.store.put(
        data, width=entry["width"], height=entry["height"], format=fields.output_format
    )
    url = f"{base_url.rstrip('/')}/v1/files/{stored.id}/content"
    return {"b64_json": None, "url": url, **shared}
