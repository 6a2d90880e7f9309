"""What the doctor sees on this machine and in made-up folders."""

import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.commands.doctor import MODEL_WEIGHTS, Finding, diagnose
from gateway.triton.loopback_ports import free_ports


@dataclass(frozen=True)
class Settings:
    triton_cache: Path
    model_repository: Path
    data_dir: Path
    port: int
    host: str = "127.0.0.1"
    triton_url: str | None = None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (port,) = free_ports(1)
    return Settings(Path.home() / ".cache" / "retouch", tmp_path / "models", tmp_path / "a/b", port)


def by_name(settings: Settings) -> dict[str, Finding]:
    findings = diagnose(settings)
    named = {finding.name: finding for finding in findings}
    assert len(named) == len(findings)
    assert all(finding.advice for finding in findings if not finding.ok)
    return named


def test_this_machine_can_serve(settings: Settings) -> None:
    named = by_name(settings)
    for name in ("Python", "numpy", "Python stub", "libpython", "disk", "GPU", "port"):
        assert named[name].ok, named[name]
    assert named["libpython"].detail.endswith(".so.1.0")


def test_a_triton_that_is_missing_comes_with_advice(settings: Settings, tmp_path: Path) -> None:
    empty = Settings(tmp_path / "cache", tmp_path, tmp_path, settings.port)
    triton = by_name(empty)["Triton"]
    assert not triton.ok
    assert triton.advice is not None
    assert "nvidia-pytriton" in triton.advice
    assert not (tmp_path / "cache").exists()


def test_an_external_triton_needs_nothing_of_this_python(settings: Settings) -> None:
    external = Settings(
        settings.triton_cache,
        settings.model_repository,
        settings.data_dir,
        settings.port,
        triton_url="gpu-box:8001",
    )
    named = by_name(external)
    assert "gpu-box:8001" in named["Triton"].detail
    assert "numpy" not in named


def test_models_without_weights_are_told_from_those_with(settings: Settings) -> None:
    for model, weights in MODEL_WEIGHTS.items():
        (settings.model_repository / model / weights).parent.mkdir(parents=True)
        (settings.model_repository / model / "config.pbtxt").touch()
    (settings.model_repository / "fastsam" / "1" / "model.onnx").touch()
    (settings.model_repository / "qwen_vae_decoder" / "config.pbtxt").unlink()

    named = by_name(settings)

    assert named["model fastsam"].ok
    assert not named["model qwen_image"].ok
    assert named["model qwen_image"].advice == "Run retouch-export demo."
    assert "no config.pbtxt" in named["model qwen_vae_decoder"].detail


def test_a_missing_repository_is_one_finding(settings: Settings) -> None:
    named = by_name(settings)
    assert not named["model repository"].ok
    assert not any(name.startswith("model ") and "fastsam" in name for name in named)


def test_a_taken_port_is_found(settings: Settings) -> None:
    with socket.create_server((settings.host, settings.port)):
        assert not by_name(settings)["port"].ok
