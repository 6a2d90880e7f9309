"""Every knob of the gateway, read from the environment once; nothing else reads it."""

from __future__ import annotations

import re
import socket
import sys
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.triton.triton_endpoints import TritonEndpoints
from gateway.webhooks.webhook_signature import key_of

_CHECKOUT = Path(__file__).resolve().parents[1]
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?")
_LEAST_FILE_TTL_S = 3600.0


class Settings(BaseSettings):
    """Set each with `RETOUCH_<NAME>`, e.g. `RETOUCH_PORT=9000`."""

    model_config = SettingsConfigDict(env_prefix="RETOUCH_", frozen=True)

    host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the gateway; 0 picks a free one.")
    data_dir: Path = Field(Path("retouch-data"), description="Pictures, logs and job records.")
    store_url: str | None = Field(
        None, description="s3://BUCKET/PREFIX: where pictures live; unset: DATA_DIR/images."
    )
    store_presign_s: float = Field(
        0, ge=0, le=604_800, description="Downloads go to the S3 store, by addresses good so long."
    )
    file_ttl_s: float = Field(
        30 * 86_400.0,
        ge=0,
        description="How long a picture that no job needs is kept; 3600 or more, 0 for ever.",
    )
    cors_origins: tuple[str, ...] = Field(
        ("http://localhost:3000",), description="Web origins that may call the gateway."
    )

    playground: bool = Field(True, description="Serve the playground at / and /admin.")
    open_beyond_loopback: bool = Field(
        False, description="Listen beyond loopback without any key: anyone may use everything."
    )
    front_end_without_key: bool = Field(
        False, description="Where keys are needed: let the front end's /api in without one."
    )
    rate_limit_storage: str = Field(
        "async+memory://",
        description="Where limits are counted: in this process; database (the keys' own), or "
        "e.g. async+redis://host, for several gateways that count together.",
    )

    real_time_loop: bool = Field(
        True,
        description="Where the system allows it, the event loop's thread goes before all usual "
        "ones (SCHED_RR, priority 1).",
    )

    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, JSON lines elsewhere."
    )
    otlp_endpoint: str | None = Field(
        None, description="OTLP/HTTP collector for traces, e.g. http://127.0.0.1:4318."
    )

    triton_url: str | None = Field(
        None,
        description="gRPC of running Tritons: host:port or dns:///name:port (every address of the "
        "name), several separated by commas; unset starts the embedded one.",
    )
    triton_shared_memory: bool | None = Field(
        None, description="Frames go through shared memory; unset: to the embedded Triton only."
    )
    triton_cache: Path = Field(
        Path.home() / ".cache" / "retouch", description="Where the embedded Triton is unpacked."
    )
    model_repository: Path = Field(
        _CHECKOUT / "model_repository", description="What the embedded Triton serves."
    )
    models_python: Path = Field(
        Path(sys.executable), description="Interpreter of the environment the models import from."
    )
    canary_interval_s: float = Field(2.0, gt=0, description="Time between two canary rounds.")
    canary_timeout_s: float = Field(10.0, gt=0, description="A slower canary answer is a failure.")

    max_body_bytes: int = Field(64 * 2**20, gt=0, description="Largest request body.")
    header_timeout_s: float = Field(
        15.0, gt=0, description="A request whose headers take longer is dropped."
    )
    body_pause_s: float = Field(
        30.0, gt=0, description="Longest time a body may need for each of its 64 KiB: then 408."
    )
    write_stall_s: float = Field(
        60.0, gt=0, description="A client that reads nothing for so long is dropped."
    )
    max_header_bytes: int = Field(32 * 1024, gt=0, description="Request line and headers together.")
    max_image_bytes: int = Field(32 * 2**20, gt=0, description="Largest encoded picture.")
    max_image_pixels: int = Field(50_000_000, gt=0, description="Largest picture, width x height.")
    feature_cache_bytes: int = Field(
        256 * 2**20, ge=0, description="Segmentation features kept, so a second click is free."
    )
    picture_cache_bytes: int = Field(
        128 * 2**20, ge=0, description="Pixels kept of the pictures used last."
    )
    segmentation_timeout_s: float = Field(10.0, gt=0, description="Limit for one segmentation.")
    segmentation_threads: int = Field(4, ge=1, description="Segmentations at work at once.")

    jobs_per_model: int = Field(8, ge=1, description="Jobs at work at once per pipeline model.")
    max_queued_jobs: int = Field(1000, ge=1, description="Jobs waiting before 429 queue_full.")
    database_url: str | None = Field(
        None,
        description="sqlite:///FILE or postgresql://...: where jobs live; unset: DATA_DIR/jobs.db.",
    )
    worker_id: str = Field(
        default_factory=socket.gethostname,
        description="Name of this process among the workers; the same after a restart.",
    )
    worker_lost_after_s: float = Field(
        60.0, gt=0, description="A worker not seen for so long is dead; its jobs go to others."
    )
    drain_s: float = Field(
        20.0, ge=0, description="Jobs at work may go on so long when the process is to end."
    )
    max_job_attempts: int = Field(
        3, ge=1, description="Starts of a job before it is given up, deaths included."
    )
    job_ttl_s: float = Field(7 * 86_400.0, gt=0, description="How long a job's result is kept.")
    retention_interval_s: float = Field(
        60.0, gt=0, description="Time between two looks for what has expired."
    )
    progress_interval_s: float = Field(
        0.25, ge=0, description="Least time between two progress events, the last one excepted."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="whsec_ and base64 of 24 bytes or more; unset: webhooks are refused."
    )
    webhook_allow_private: bool = Field(
        False, description="Webhooks to private addresses and over http; for closed networks."
    )
    max_kept_jobs: int = Field(10_000, ge=1, description="Ended jobs remembered, newest first.")
    job_deadline_s: float | None = Field(
        None, gt=0, description="Deadline of jobs that name none, seconds from their submission."
    )
    retry_grace_s: float = Field(
        15.0, ge=0, description="A synchronous client gone for so long cancels its job."
    )
    preview_every: int = Field(2, ge=0, description="Steps between two previews; 0 for none.")
    save_latents_every: int = Field(
        0, ge=0, description="Steps between two states of a job kept to go on from; 0: none."
    )
    stall_timeout_s: float = Field(
        120.0, gt=0, description="A job without any event for so long ends with an error."
    )

    @field_validator("triton_url")
    @classmethod
    def _names_tritons(cls, value: str | None) -> str | None:
        if value:
            TritonEndpoints.parse(value)
        return value or None

    @field_validator("store_url")
    @classmethod
    def _names_a_bucket(cls, value: str | None) -> str | None:
        if value and not _BUCKET.fullmatch(value):
            raise ValueError("an image store is s3://BUCKET or s3://BUCKET/PREFIX")
        return value or None

    @field_validator("file_ttl_s")
    @classmethod
    def _outlives_its_request(cls, value: float) -> float:
        if 0 < value < _LEAST_FILE_TTL_S:
            raise ValueError(f"at least {_LEAST_FILE_TTL_S:g} s, or 0 for ever")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _usable_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            key_of(secret.get_secret_value())
        return secret

    @property
    def image_store_url(self) -> str:
        """Where pictures live: s3://..., or a folder."""
        return self.store_url or str(self.data_dir / "images")

    @property
    def job_database_url(self) -> str:
        """Where jobs live."""
        return self.database_url or f"sqlite:///{self.data_dir / 'jobs.db'}"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process."""
    return Settings()
