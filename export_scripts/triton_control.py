"""Triton's model control: load, unload, and wait until a version is ready or gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from export_scripts.export_errors import ExportError

_POLL_S = 0.02
_GONE = ("", "UNAVAILABLE")


class TritonControl:
    """Asks a running Triton, started with explicit model control."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = triton.InferenceServerClient(url)

    def load(self, model: str) -> None:
        """Load what the repository has of a model; versions that did not change are left alone.

        Returns when the versions it has now are ready; those that went drain behind it.
        """
        with self._told(f"{model} cannot be loaded"):
            self._client.load_model(model)

    def unload(self, model: str) -> None:
        """Unload all versions of a model; one that is not loaded is left alone."""
        with self._told(f"{model} cannot be unloaded"):
            self._client.unload_model(model)

    def require_ready(self, model: str, version: int) -> None:
        """Check that a version answers."""
        with self._told(f"{model} version {version} cannot be asked"):
            ready = self._client.is_model_ready(model, str(version))
        if not ready:
            raise ExportError(f"{model} version {version} did not become ready; see Triton's log.")

    def wait_gone(self, model: str, version: int, *, timeout_s: float) -> bool:
        """Wait for the jobs of a version that is being unloaded; False if they go on."""
        deadline = time.monotonic() + timeout_s
        while self._state(model, version) not in _GONE:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _state(self, model: str, version: int) -> str:
        with self._told("Triton's repository cannot be listed"):
            index = self._client.get_model_repository_index()
        states = {(entry.name, entry.version): entry.state for entry in index.models}
        return str(states.get((model, str(version)), ""))

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except InferenceServerException as error:
            raise ExportError(f"{what}: {error.message()}") from error
