"""Stand-ins for a pipeline's heavy modules: same calls, but the work is a stage model's.

A diffusers pipeline built on these runs its own code (prompt templates, scheduler, guidance,
latent packing) and none of the networks. Each job has its own set; they hold no weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from qwen_serving.company import Company
from qwen_serving.stage_calls import StageCalls
from qwen_serving.stage_name import StageName


class _Remote(torch.nn.Module):
    """A module without parameters that still knows its device and dtype."""

    def __init__(self, config_folder: Path, stage: StageName, calls: StageCalls) -> None:
        super().__init__()
        config = json.loads((config_folder / "config.json").read_text())
        self.config = SimpleNamespace(**config)
        self.stage = stage
        self._stage_calls = calls

    @property
    def device(self) -> torch.device:
        return self._stage_calls.device

    @property
    def dtype(self) -> torch.dtype:
        """Tensors travel as float32; a stage computes in its own precision."""
        return torch.float32


class RemoteTextEncoder(_Remote):
    """`text_encoder(...)` of the pipelines, on the model `qwen_text_encoder`."""

    def __init__(self, config_folder: Path, stage: StageName, calls: StageCalls) -> None:
        super().__init__(config_folder, stage, calls)
        # The 2.x pipeline hooks the final norm to take it out; the stage has done so already.
        self.model = torch.nn.ModuleDict({"norm": torch.nn.Identity()})

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        **_: Any,
    ) -> SimpleNamespace:
        """Only the last hidden state is filled in: (1, L, D)."""
        if not bool(attention_mask.all()):
            raise ValueError("one prompt per call: padding is not expected here")
        inputs = {"INPUT_IDS": input_ids}
        if pixel_values is not None and image_grid_thw is not None:
            inputs["PIXEL_VALUES"] = pixel_values[None].float()
            inputs["IMAGE_GRID_THW"] = image_grid_thw[None]
        states = self._stage_calls.run("text_encoder", self.stage, inputs, "HIDDEN_STATES")
        return SimpleNamespace(hidden_states=(states,))


class RemoteVae(_Remote):
    """`vae.encode` and `vae.decode`, each on a model of its own."""

    def __init__(
        self, config_folder: Path, encoder: StageName, decoder: StageName, calls: StageCalls
    ) -> None:
        super().__init__(config_folder, encoder, calls)
        self.temperal_downsample = self.config.temperal_downsample
        self._decoder = decoder

    def encode(self, image: torch.Tensor) -> SimpleNamespace:
        """(1, 3, 1, H, W) in -1..1 to a distribution over latents."""
        inputs = {"IMAGE": image.float()}
        moments = self._stage_calls.run("vae_encoder", self.stage, inputs, "MOMENTS")
        return SimpleNamespace(latent_dist=DiagonalGaussianDistribution(moments))

    def decode(self, latents: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        """(1, z, 1, h, w) to a picture (1, 3, 1, 8h, 8w) in -1..1."""
        inputs = {"LATENTS": latents.float()}
        return (self._stage_calls.run("vae_decoder", self._decoder, inputs, "IMAGE"),)


class RemoteTransformer(_Remote):
    """`transformer(...)`: one denoising step, with the LoRA adapters in `adapters`, if any.

    With true CFG a pipeline asks for the conditional and then the unconditional prediction of
    the same latents. From the second step on the unconditional one is sent along with the
    conditional one, so that both share a batch.
    """

    def __init__(
        self,
        config_folder: Path,
        stage: StageName,
        calls: StageCalls,
        executor: Executor,
        *,
        adapters: str | None = None,
        company: Company | None = None,
    ) -> None:
        super().__init__(config_folder, stage, calls)
        self._executor = executor
        self._company = company or Company()
        self._adapters = adapters
        self._branch = "cond"
        self._unconditional: dict[str, torch.Tensor | str] | None = None
        self._ahead: Future[torch.Tensor] | None = None

    @property
    def transformer_blocks(self) -> range:
        """The 2.x pipeline counts them."""
        return range(self.config.num_layers)

    @contextmanager
    def cache_context(self, name: str) -> Iterator[None]:
        """The pipelines name the branch of guidance they are in: "cond" or "uncond"."""
        self._branch = name
        yield

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        encoder_hidden_states_mask: torch.Tensor | None = None,
        img_shapes: list[Any] | None = None,
        guidance: torch.Tensor | None = None,
        img_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor]:
        """Predict the noise of (1, S, C) latents."""
        moving = {"HIDDEN_STATES": hidden_states, "TIMESTEP": timestep.reshape(1, 1).float()}
        if self._branch == "uncond" and self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return (ahead.result(),)
        fixed = _fixed_inputs(encoder_hidden_states, encoder_hidden_states_mask, img_shapes)
        if guidance is not None:
            fixed["GUIDANCE"] = guidance.reshape(1, 1).float()
        if img_mask is not None:
            fixed["IMG_MASK"] = img_mask.bool()
        if self._adapters is not None:
            fixed["ADAPTERS"] = self._adapters
        if self._branch == "uncond":
            self._unconditional = fixed
        with self._company.step(self, hidden_states.shape):
            if self._branch != "uncond" and self._unconditional is not None:
                both = {**moving, **self._unconditional}
                self._ahead = self._executor.submit(self._predict, both)
            return (self._predict({**moving, **fixed}),)

    def _predict(self, inputs: dict[str, torch.Tensor | str]) -> torch.Tensor:
        return self._stage_calls.run("transformer", self.stage, inputs, "NOISE_PRED")


def _fixed_inputs(
    text: torch.Tensor, mask: torch.Tensor | None, img_shapes: list[Any] | None
) -> dict[str, torch.Tensor | str]:
    """What stays the same over the steps of one branch; padding of the text is cut off."""
    if mask is not None:
        text = text[:, : int(mask[0].sum())]
    shapes = (img_shapes or [[]])[0]
    rows = shapes if isinstance(shapes, list) else [shapes]
    return {
        "ENCODER_HIDDEN_STATES": text.float(),
        "IMG_SHAPES": torch.tensor([[list(row) for row in rows]], dtype=torch.int32),
    }
