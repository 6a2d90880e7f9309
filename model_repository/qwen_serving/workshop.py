"""Where jobs run: everything that is loaded once and shared by the jobs of a pipeline model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from qwen_serving import torchvision_ops

torchvision_ops.declare()

from diffusers.pipelines.qwenimage import (  # noqa: E402
    pipeline_qwenimage_edit_plus as edit_plus,
)

from qwen_serving.company import Company  # noqa: E402
from qwen_serving.exported import Exported  # noqa: E402
from qwen_serving.job import Emit, Job  # noqa: E402
from qwen_serving.job_request import JobRequest  # noqa: E402
from qwen_serving.tensors import device_of  # noqa: E402


class Workshop:
    """Runs jobs over an exported pipeline; any number of threads at once."""

    def __init__(self, exported: Exported, device: Any, executor: Executor) -> None:
        self._exported = exported
        self._device = device
        self._executor = executor
        self._company = Company()

    @classmethod
    def load(cls, folder: Path, args: Mapping[str, str], executor: Executor) -> Workshop:
        """Load configs, tokenizer and scheduler.

        Args:
            folder: the pipeline's folder of this version.
            args: as Triton hands them to `initialize`.
            executor: for the second request of a guided step.
        """
        exported = Exported.load(folder)
        areas = exported.manifest.get("condition_areas")
        if areas is not None:
            # The areas to which edits scale their references are constants in diffusers.
            edit_plus.CONDITION_IMAGE_SIZE = areas["text_encoder"]
            edit_plus.VAE_IMAGE_SIZE = areas["vae"]
        return cls(exported, device_of(args), executor)

    def run(self, request: JobRequest, check: Callable[[], None], emit: Emit) -> None:
        """Run a job to its end in this thread.

        Raises:
            JobCanceledError: `check` said so between two steps.
            DeadlineExceededError: likewise.
            StageError: a stage model failed.
        """
        Job(
            self._exported,
            request,
            device=self._device,
            executor=self._executor,
            company=self._company,
            check=check,
            emit=emit,
        ).run()
