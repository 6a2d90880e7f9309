"""The port over Triton's gRPC; with `triton_masks.py`, `triton_canaries.py`,
`triton_painting.py` and `triton_prefill.py` the only files that know tensor names.

Painting uses the asynchronous client, because a job spends its time waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from gateway.errors import InferenceTimeoutError, ModelUnavailableError, RetouchError
from gateway.inference import (
    PIPELINE_MODELS,
    SEGMENTATION_MODEL,
    TEXT_PROMPT_MODELS,
    ModelHealth,
    PaintEvent,
    PictureDone,
    PictureRequest,
    SegmentationOutput,
    ServedNetwork,
)
from gateway.observability.tracing import trace_headers
from gateway.triton import triton_canaries, triton_prefill
from gateway.triton.triton_errors import BACKEND_DIED, translate, translated
from gateway.triton.triton_masks import TEXT_MODEL, TritonMaskModels, tensors_of
from gateway.triton.triton_painting import paint_inputs, step_of

_END_TIMEOUT_S = 1.0
_INDEX_TIMEOUT_S = 5.0
_CHANNEL = [
    ("grpc.max_send_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
    ("grpc.max_receive_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 2),
    # gRPC's own is two minutes: a Triton that came back would be away for as long.
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class TritonBackend:
    """An `InferenceBackend` on the Triton at `url` (host:port of its gRPC)."""

    def __init__(
        self,
        url: str,
        *,
        segmentation_timeout_s: float,
        stall_timeout_s: float,
        shared_slots: int = 0,
    ) -> None:
        self._url = url
        self._stall_timeout_s = stall_timeout_s
        self._masks = TritonMaskModels(
            triton.InferenceServerClient(url, channel_args=_CHANNEL),
            timeout_s=segmentation_timeout_s,
            shared_slots=shared_slots,
        )
        self._async_client: Any = None
        self._manifests: dict[str, Mapping[str, Any]] = {}
        self._deaths: dict[str, asyncio.Future[RetouchError]] = {}
        """Set when a canary finds a model's process dead, for the streams that wait for it."""

    @property
    def _async(self) -> Any:
        """Made on first use, since it belongs to the running event loop."""
        if self._async_client is None:
            self._async_client = triton_aio.InferenceServerClient(self._url, channel_args=_CHANNEL)
        return self._async_client

    def segment(self, frame: npt.NDArray[np.uint8]) -> SegmentationOutput:
        """Run the network on one frame."""
        return self._masks.segment(frame)

    def known_segmentation_network(self) -> ServedNetwork | None:
        """Kept up to date by canaries and answers."""
        return self._masks.known_network

    def segmentation_network(self) -> ServedNetwork:
        """Learnt from the network's answer to its canary."""
        return self._masks.network()

    def embed_text(self, text: str) -> npt.NDArray[np.float32]:
        """One text through CLIP's text half."""
        return self._masks.embed_text(text)

    def embedding_network(self) -> ServedNetwork:
        """By the metadata of CLIP's image half."""
        return self._masks.embedding_network()

    def embed_pictures(self, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Squares through CLIP's image half."""
        return self._masks.embed_pictures(squares)

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        """Stream one job of a pipeline model."""
        call = paint_inputs(request)
        stream = self._stream(
            request.model, call, self._stall_timeout_s, deadline_s=request.deadline_s
        )
        async for event, result in stream:
            if event["event"] == "step":
                yield step_of(event, result)
            elif event["event"] == "image":
                image = result.as_numpy("IMAGE")
                yield PictureDone(image, event["total_s"], event.get("timings") or {})

    async def fill(
        self, image: npt.NDArray[np.uint8], hole: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """Ask the prefill model, if the repository has one."""
        return await triton_prefill.fill(self._async, image, hole)

    async def _stream(
        self,
        model: str,
        inputs: triton_canaries.Inputs,
        stall_timeout_s: float,
        *,
        deadline_s: float | None = None,
    ) -> AsyncIterator[tuple[dict[str, Any], Any]]:
        """Events of one decoupled request; leaving the loop cancels it in the server."""

        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {
                "model_name": model,
                "inputs": tensors_of(inputs),
                "enable_empty_final_response": True,
                "timeout": None if deadline_s is None else round(deadline_s * 1e6),
            }

        stream = self._async.stream_infer(requests(), headers=trace_headers())
        final = False
        try:
            while not final:
                result, final = await self._next_result(model, stream, stall_timeout_s)
                event = result.as_numpy("EVENT")
                if event is not None:
                    yield json.loads(event[0]), result
        except StopAsyncIteration:
            raise ModelUnavailableError(f"Model {model} ended the stream too early.") from None
        except TimeoutError:
            message = f"Model {model} sent nothing for {stall_timeout_s:.0f} s."
            raise InferenceTimeoutError(message) from None
        finally:
            stream.cancel()

    async def _next_result(self, model: str, stream: Any, timeout_s: float) -> tuple[Any, bool]:
        """The stream's next result, and whether it is the last; then the stream has ended.

        It ends before its last event goes out, because a reader may leave with the picture.
        """
        with translated(model):
            result, error = await self._next(model, stream, timeout_s)
        if error is not None:
            raise translate(error, model) from error
        final = bool(result.get_response().parameters["triton_final_response"].bool_param)
        if final:
            await _read_to_the_end(stream)
        return result, final

    async def _next(self, model: str, stream: Any, timeout_s: float) -> Any:
        """The stream's next answer; Triton ends no stream whose model's process was killed."""
        answer = asyncio.ensure_future(anext(stream))
        death = self._death_of(model)
        try:
            await asyncio.wait(
                {answer, death}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if answer.done():
                return answer.result()
            if death.done():
                raise death.result()
            raise TimeoutError
        finally:
            answer.cancel()

    def _death_of(self, model: str) -> asyncio.Future[RetouchError]:
        death = self._deaths.get(model)
        if death is None or death.done():
            death = self._deaths[model] = asyncio.get_running_loop().create_future()
        return death

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:
        """Send the canary that fits the model."""
        try:
            if model in PIPELINE_MODELS:
                return await self._check_pipeline(model, timeout_s)
            return await self._check_stage(model, timeout_s)
        except RetouchError as error:
            if error.code == BACKEND_DIED:
                self._death_of(model).set_result(error)
            slow = isinstance(error, InferenceTimeoutError)
            return ModelHealth(model, ready=False, detail=error.message, slow=slow)

    async def _check_pipeline(self, model: str, timeout_s: float) -> ModelHealth:
        canary = triton_canaries.pipeline_canary()
        async for event, _ in self._stream(model, canary, timeout_s):
            self._manifests[model] = event
        return ModelHealth(model, ready=True, manifest=self._manifests[model])

    async def _check_stage(self, model: str, timeout_s: float) -> ModelHealth:
        if model == SEGMENTATION_MODEL or model in TEXT_PROMPT_MODELS:
            return await self._check_mask_model(model, timeout_s)
        canaries = triton_canaries.stage_canaries(model, self._manifests.values())
        if not canaries:
            return ModelHealth(model, ready=False, detail="no pipeline describes it yet")
        with translated(model):
            for version, canary in canaries.items():
                await self._async.infer(
                    model, tensors_of(canary), model_version=version, client_timeout=timeout_s
                )
        return ModelHealth(model, ready=True)

    async def _check_mask_model(self, model: str, timeout_s: float) -> ModelHealth:
        with translated(model):
            result = await self._async.infer(
                model,
                tensors_of(await self._mask_canary(model, timeout_s)),
                client_timeout=timeout_s,
            )
        if model == SEGMENTATION_MODEL:
            self._masks.learn(result)
        return ModelHealth(model, ready=True)

    async def _mask_canary(self, model: str, timeout_s: float) -> triton_canaries.Inputs:
        if model == SEGMENTATION_MODEL:
            return triton_canaries.segmentation_canary()
        if model == TEXT_MODEL:
            return triton_canaries.text_canary()
        metadata = await self._async.get_model_metadata(model, client_timeout=timeout_s)
        return triton_canaries.picture_canary(int(metadata.inputs[0].shape[1]))

    async def model_names(self) -> list[str]:
        """Pipelines first: their manifests describe the stages' canaries.

        Stages that none of them calls are left out, once all have told theirs; models for text
        prompts count where the repository has them.
        """
        stages: Iterable[str] = triton_canaries.STAGE_MODELS
        if len(self._manifests) == len(PIPELINE_MODELS):
            stages = triton_canaries.called_stages(self._manifests.values())
        with translated("Triton"):
            index = await self._async.get_model_repository_index(client_timeout=_INDEX_TIMEOUT_S)
        there = {entry.name for entry in index.models}
        texts = [name for name in TEXT_PROMPT_MODELS if name in there]
        return [*PIPELINE_MODELS, SEGMENTATION_MODEL, *stages, *texts]

    async def load(self, model: str) -> None:
        """Ask Triton to load; returns when the model answers."""
        with translated(model):
            await self._async.load_model(model)

    async def unload(self, model: str) -> None:
        """Ask Triton to unload; what runs on it ends first."""
        with translated(model):
            await self._async.unload_model(model)

    async def close(self) -> None:
        """Close both channels."""
        self._masks.close()
        if self._async_client is not None:
            await self._async_client.close()


async def _read_to_the_end(stream: Any) -> None:
    """Let a stream end by itself after its final answer.

    Where it is canceled while Triton still writes that answer, Triton counts the request as
    running for good, and the model's version never unloads.
    """
    with contextlib.suppress(TimeoutError, grpc.RpcError, InferenceServerException):
        async with asyncio.timeout(_END_TIMEOUT_S):
            async for _ in stream:
                pass
