"""A wrong setting is a sentence with the variable's name, before anything is started."""

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.wrong_settings import wrong_settings


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("RETOUCH_TRITON_URL", "http://triton:8001", "is not host:port"),
        ("RETOUCH_CORS_ORIGINS", "https://studio.example", "must be JSON"),
        ("RETOUCH_PORT", "tcp://10.0.0.1:80", "valid integer"),
        ("RETOUCH_FILE_TTL_S", "5", "at least 3600 s"),
    ],
)
def test_a_wrong_setting_ends_the_command_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = CliRunner().invoke(app, ["serve"])
    assert done.exit_code == 2
    assert done.output.startswith(f"{variable}: ")
    assert says in done.output
    assert "Traceback" not in done.output


def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETOUCH_WEBHOOK_SECRET", "whsec_tooshort")
    done = CliRunner().invoke(app, ["serve"])
    assert done.exit_code == 2
    assert "RETOUCH_WEBHOOK_SECRET" in done.output
    assert "tooshort" not in done.output


def test_a_readable_environment_has_no_complaints() -> None:
    assert wrong_settings() == []
