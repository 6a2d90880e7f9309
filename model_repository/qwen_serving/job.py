"""One job: a diffusers pipeline over remote modules, in a thread of its own."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import pipelines as diffusers_pipelines
from PIL import Image

from qwen_serving import single_stream
from qwen_serving.company import Company
from qwen_serving.exported import Exported
from qwen_serving.job_request import JobRequest
from qwen_serving.preview import LatentPreview
from qwen_serving.remote_modules import RemoteTextEncoder, RemoteTransformer, RemoteVae
from qwen_serving.resumption import begin_behind
from qwen_serving.saved_state import fingerprint
from qwen_serving.stage_calls import StageCalls
from qwen_serving.stage_name import stage_of
from qwen_serving.stage_timings import StageTimings

Emit = Callable[..., None]


class Job:
    """Runs a request to its end and reports through `emit(event, **tensors)`."""

    def __init__(
        self,
        exported: Exported,
        request: JobRequest,
        *,
        device: torch.device,
        executor: Executor,
        company: Company,
        check: Callable[[], None],
        emit: Emit,
    ) -> None:
        self._exported = exported
        self._request = request
        self._executor = executor
        self._company = company
        self._check = check
        self._emit = emit
        self._of = fingerprint(exported.manifest)
        saved = request.saved
        # A state of another checkpoint is of no use: the job begins at the beginning.
        self._saved = saved if saved is not None and saved.of == self._of else None
        self._done = self._saved.step if self._saved else 0
        self._started = time.monotonic()
        self._timings = StageTimings()
        self._calls = StageCalls(device, exact=request.exact, timings=self._timings)
        side = exported.manifest.get("latent_px", 8)
        self._preview = LatentPreview(
            exported.manifest["latent_rgb"],
            (request.height // side, request.width // side),
            packed=exported.manifest.get("packs_latents", True),
        )

    def run(self) -> None:
        """Paint the picture.

        Raises:
            JobCanceledError: canceled; noticed before the first and after each step, by `check`.
            DeadlineExceededError: its time is over; noticed likewise.
            StageError: a stage model failed.
        """
        self._check()
        pipeline = self._build_pipeline()
        try:
            result = pipeline(**self._arguments())
        finally:
            self._company.leave(pipeline.transformer)
        image = _opaque(np.asarray(result.images[0]))
        event = {
            "event": "image",
            "seed": self._request.seed,
            "total_s": time.monotonic() - self._started,
            "timings": self._timings.report(),
        }
        self._emit(event, image=(image * 255).round().astype(np.uint8))

    def _build_pipeline(self) -> Any:
        """A pipeline of this job's own: schedulers and guidance state are not shared."""
        manifest, folder = self._exported.manifest, self._exported.folder
        stages = {part: stage_of(entry) for part, entry in manifest["stages"].items()}
        modules = {
            "scheduler": copy.deepcopy(self._exported.scheduler),
            "vae": RemoteVae(
                folder / "vae", stages["vae_encoder"], stages["vae_decoder"], self._calls
            ),
            "text_encoder": RemoteTextEncoder(
                folder / "text_encoder", stages["text_encoder"], self._calls
            ),
            "transformer": RemoteTransformer(
                folder / "transformer",
                stages["transformer"],
                self._calls,
                self._executor,
                adapters=self._adapters(),
                company=self._company,
            ),
        }
        name = manifest["pipeline"]
        if self._request.mask is not None:
            name = manifest["inpaint_pipeline"]
        if self._exported.tokenizer is not None:
            modules["tokenizer"] = self._exported.tokenizer
        if self._exported.processor is not None:
            modules["processor"] = self._exported.processor
        pipeline = getattr(diffusers_pipelines, name)(**modules)
        pipeline.set_progress_bar_config(disable=True)
        if self._saved is not None:
            begin_behind(pipeline, self._saved)
        return pipeline

    def _adapters(self) -> str | None:
        """What every step says of adapters; nothing where the checkpoint has none.

        Where it has some, jobs that want none say so too: Triton batches no request that has an
        optional input with one that has not.
        """
        manifest = self._exported.manifest
        wanted = {**manifest.get("default_adapters", {}), **self._request.adapters}
        return json.dumps(wanted) if wanted or manifest.get("adapters") else None

    def _sigmas(self) -> list[float] | None:
        """The export's own for a job of as many steps; diffusers' for any other."""
        sigmas = self._exported.manifest.get("sigmas") or []
        return sigmas if len(sigmas) == self._request.num_inference_steps else None

    def _arguments(self) -> dict[str, Any]:
        request = self._request
        guided = request.true_cfg_scale > 1
        arguments: dict[str, Any] = {
            "prompt": request.prompt,
            # Guidance needs a negative prompt, be it blank; without guidance it must be absent.
            "negative_prompt": (request.negative_prompt or " ") if guided else None,
            "true_cfg_scale": request.true_cfg_scale,
            "width": request.width,
            "height": request.height,
            "num_inference_steps": request.num_inference_steps,
            "sigmas": self._sigmas(),
            # On the CPU whatever the device: the noise depends on the seed alone.
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            "output_type": "np",
            "callback_on_step_end": self._on_step_end,
            "callback_on_step_end_tensor_inputs": ["latents"],
        }
        if self._exported.is_single_stream:
            arguments |= single_stream.arguments(self._exported.manifest)
        if request.mask is not None:
            arguments["image"] = Image.fromarray(request.images[0])
            arguments["mask_image"] = Image.fromarray(request.mask)
            arguments["strength"] = request.strength
        elif request.images:
            arguments["image"] = [Image.fromarray(image) for image in request.images]
        return arguments

    def _on_step_end(
        self, pipeline: Any, index: int, _timestep: Any, tensors: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        self._check()
        step, total = self._done + index + 1, self._done + pipeline.num_timesteps
        if step == total:
            self._company.leave(pipeline.transformer)
        latents = tensors["latents"]
        event = {"event": "step", "step": step, "total_steps": total}
        preview = self._paint_preview(pipeline, step, total, latents)
        every = self._request.save_every
        if every and step % every == 0 and step < total:
            self._emit(event | {"of": self._of}, preview=preview, latents=_plain(latents))
        else:
            self._emit(event, preview=preview)
        return {}

    def _paint_preview(
        self, pipeline: Any, step: int, total: int, latents: torch.Tensor
    ) -> npt.NDArray[np.uint8] | None:
        every = self._request.preview_every
        if not every:
            return None
        sigmas = pipeline.scheduler.sigmas
        position = pipeline.scheduler.step_index
        clean = self._preview.observe(latents, float(sigmas[position - 1]), float(sigmas[position]))
        return self._preview.paint(clean) if step % every == 0 and step < total else None


def _plain(latents: torch.Tensor) -> npt.NDArray[np.float32]:
    """(S, C) of one picture's latents (1, S, C)."""
    plain: npt.NDArray[np.float32] = latents[0].float().cpu().numpy()
    return plain


def _opaque(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """RGB 0..1; what a picture with alpha leaves open is white."""
    if image.shape[2] == 3:
        return image
    alpha = image[:, :, 3:]
    blended: npt.NDArray[np.float32] = image[:, :, :3] * alpha + (1 - alpha)
    return blended
