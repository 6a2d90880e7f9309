"""Several embedded Tritons on loopback ports, as external ones to a gateway."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import tritonclient.grpc as triton

from gateway.settings import Settings
from gateway.triton.triton_installation import find_installation
from gateway.triton.triton_server import TritonServer, TritonServerOptions

GENERATION_MODELS = (
    "qwen_text_encoder",
    "qwen_vae_encoder",
    "qwen_vae_decoder",
    "qwen_image_transformer",
    "qwen_image",
)
LOAD_TIMEOUT_S = 300.0


@contextmanager
def local_tritons(
    count: int, models: Sequence[str], *, logs: Path, repository: Path | None = None
) -> Iterator[list[TritonServer]]:
    """Start `count` Tritons with `models` loaded; stop all in the end.

    `repository` is the settings' own unless another is given.

    Raises:
        TritonSetupError: one did not start.
        InferenceServerException: a model did not load.
    """
    settings = Settings()
    installation = find_installation(settings.triton_cache)
    servers = [
        TritonServer(
            installation,
            TritonServerOptions(
                repository=repository or settings.model_repository,
                python=Path(sys.executable),
                log_file=logs / f"triton-{number}.log",
                server_id=f"local-{secrets.token_hex(4)}",
            ),
        )
        for number in range(count)
    ]
    logs.mkdir(parents=True, exist_ok=True)
    try:
        with ThreadPoolExecutor(count) as starters:
            list(starters.map(lambda server: _start(server, models), servers))
        yield servers
    finally:
        for server in servers:
            server.stop()


def load_models(server: TritonServer, models: Sequence[str]) -> None:
    """Load the models, at the same time."""
    with (
        triton.InferenceServerClient(server.grpc_url) as client,
        ThreadPoolExecutor(len(models)) as loaders,
    ):
        list(loaders.map(lambda m: client.load_model(m, client_timeout=LOAD_TIMEOUT_S), models))


def addresses(servers: Sequence[TritonServer]) -> str:
    """As `RETOUCH_TRITON_URL` names them."""
    return ",".join(server.grpc_url for server in servers)


def inferences(server: TritonServer, model: str) -> int:
    """Requests that a model answered so far, by Triton's own count."""
    return executions(server, model)[0]


def executions(server: TritonServer, model: str) -> tuple[int, int]:
    """Requests and executions of a model so far, by Triton's own count."""
    with triton.InferenceServerClient(server.grpc_url) as client:
        answer = client.get_inference_statistics(model, client_timeout=10)
    return answer.model_stats[0].inference_count, answer.model_stats[0].execution_count


def _start(server: TritonServer, models: Sequence[str]) -> None:
    server.start()
    load_models(server, models)
