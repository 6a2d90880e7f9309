"""Retouch on Modal: `modal deploy deploy/modal_app.py`, from the repository's root.

One ASGI gateway and one class of Tritons with a GPU each, out of the same two Dockerfiles. Both
stay up (`min_containers`), and nothing wakes anything: a Triton that starts writes its private
address into a `modal.Dict`, the gateway looks there every few seconds, and its canaries tell who
answers.

Before the first deployment: a Modal secret `retouch` with RETOUCH_DATABASE_URL (PostgreSQL),
RETOUCH_STORE_URL and the variables of the S3-compatible store; the exported repository in the
volume `retouch-models` (`modal volume put retouch-models model_repository/ /`).
"""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import modal

ROOT = Path(__file__).resolve().parents[1]
GPU = os.environ.get("RETOUCH_MODAL_GPU", "H200")
REGION = os.environ.get("RETOUCH_MODAL_REGION", "us-east")
GRPC_PORT = 8001
PROBES_BEFORE_END = 3
PROBE_INTERVAL_S = 15.0

app = modal.App("retouch")
addresses = modal.Dict.from_name("retouch-tritons", create_if_missing=True)
models = modal.Volume.from_name("retouch-models", create_if_missing=True)
data = modal.Volume.from_name("retouch-data", create_if_missing=True)
secrets = [modal.Secret.from_name("retouch")]
gateway_environment = {
    # Anyone on the internet may call: every request needs a key.
    "RETOUCH_HOST": "0.0.0.0",  # noqa: S104
    "RETOUCH_DATA_DIR": "/data",
    "RETOUCH_WORKER_ID": "modal-gateway-0",
}


def _image(dockerfile: str) -> modal.Image:
    """An image of the repository's, without its entry point: Modal starts the process itself."""
    return modal.Image.from_dockerfile(ROOT / dockerfile, context_dir=ROOT).entrypoint([])


triton_image = _image("deploy/triton/Dockerfile")
gateway_image = _image("deploy/gateway/Dockerfile")


@app.cls(
    image=triton_image,
    gpu=GPU,
    region=REGION,
    i6pn=True,
    volumes={"/models": models.with_mount_options(read_only=True)},
    min_containers=1,
    max_containers=1,
    startup_timeout=1800,
    timeout=24 * 3600,
)
class Triton:
    """One Triton, reachable in the workspace's private network."""

    @modal.enter()
    def start(self) -> None:
        """Serve, and tell the gateways where once every model is loaded."""
        self.address = f"[{private_address()}]:{GRPC_PORT}"
        command = ["/opt/retouch/serve.sh", "--grpc-address=::", "--http-address=127.0.0.1"]
        self.process = subprocess.Popen(command)
        while not probe("--ready"):
            if self.process.poll() is not None:
                raise RuntimeError(f"Triton ended with {self.process.returncode}; its log says why")
            time.sleep(2)
        addresses[self.address] = time.time()
        threading.Thread(target=end_when_dead, daemon=True).start()

    @modal.exit()
    def stop(self) -> None:
        """Leave the list first, then let what is at work finish."""
        addresses.pop(self.address, None)
        self.process.terminate()
        self.process.wait(timeout=25)

    @modal.method()
    def is_well(self) -> bool:
        """Whether the server answers and every model's process lives."""
        return probe("--ready")


@app.function(
    image=gateway_image,
    region=REGION,
    i6pn=True,
    volumes={"/data": data},
    secrets=secrets,
    env=gateway_environment,
    min_containers=1,
    max_containers=1,
    timeout=24 * 3600,
)
@modal.concurrent(max_inputs=200)
@modal.asgi_app()
def gateway() -> Any:
    """The whole HTTP side; its jobs run in it."""
    from gateway.app import create_app
    from gateway.settings import Settings
    from gateway.triton.triton_connection import connect_pool
    from gateway.triton.triton_endpoints import TritonEndpoints

    class TritonsInDict(TritonEndpoints):
        """What the Tritons wrote into the Dict."""

        def resolve(self) -> tuple[str, ...]:
            try:
                return tuple(sorted(addresses.keys()))
            except modal.exception.Error as error:
                raise OSError(str(error)) from error

    settings = Settings()
    backend = connect_pool(
        TritonsInDict(()),
        segmentation_timeout_s=settings.segmentation_timeout_s,
        stall_timeout_s=settings.stall_timeout_s,
    )
    return create_app(settings, backend=backend)


@app.function(
    image=gateway_image, volumes={"/data": data}, secrets=secrets, env=gateway_environment
)
def create_key(name: str) -> None:
    """Print a new API key, once: `modal run deploy/modal_app.py::create_key --name me`."""
    subprocess.run(["retouch", "keys", "create", name], check=True)  # noqa: S607
    data.commit()


def private_address() -> str:
    """This container's address in the workspace's private network."""
    return str(socket.getaddrinfo("i6pn.modal.local", None, socket.AF_INET6)[0][4][0])


def probe(*options: str) -> bool:
    """What the container's own probe says."""
    command = [sys.executable, "/opt/retouch/alive.py", *options]
    return subprocess.run(command, check=False).returncode == 0


def end_when_dead() -> None:
    """End the container when its Triton is not well, so that Modal starts another."""
    failures = 0
    while failures < PROBES_BEFORE_END:
        time.sleep(PROBE_INTERVAL_S)
        failures = 0 if probe() else failures + 1
    os._exit(1)
