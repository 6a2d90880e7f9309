"""`retouch keys`, and the refusal to be open to the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.keys.setup import KeysMissingError, key_store, require_keys_beyond_loopback
from gateway.settings import Settings


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(tmp_path))
    return tmp_path


def run(*arguments: str, status: int = 0, columns: int = 200) -> str:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)})
    assert done.exit_code == status, done.output
    return done.output


def test_a_key_is_made_listed_and_revoked(data_dir: Path) -> None:
    text = run("keys", "create", "studio", "--requests-per-minute", "60").splitlines()[-1]
    assert text.startswith("rt_")
    key_id, secret = text.split("_", 2)[1:]
    listed = run("keys", "list")
    assert key_id in listed
    assert "studio" in listed
    assert secret not in listed
    assert key_id in run("keys", "list", columns=80), "it is copied into `retouch keys revoke`"
    run("keys", "revoke", key_id)
    assert key_store(Settings()).all()[0].is_revoked
    assert "no key" in run("keys", "revoke", "nobody", status=1)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "gateway.internal"])  # noqa: S104
def test_beyond_loopback_there_must_be_a_key(data_dir: Path, host: str) -> None:
    with pytest.raises(KeysMissingError, match="retouch keys create"):
        require_keys_beyond_loopback(Settings(host=host))
    require_keys_beyond_loopback(Settings(host=host, open_beyond_loopback=True))
    key_store(Settings()).create("a")
    require_keys_beyond_loopback(Settings(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_is_open_by_default(data_dir: Path, host: str) -> None:
    require_keys_beyond_loopback(Settings(host=host))


def test_serve_refuses_with_a_sentence(data_dir: Path) -> None:
    assert "not loopback" in run("serve", "--host", "0.0.0.0", status=2)  # noqa: S104
