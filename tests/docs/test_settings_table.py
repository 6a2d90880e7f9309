"""The table of settings in the docs, against the settings."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", PAGE.read_text(), re.MULTILINE))
IN_WORDS = {
    "database_url": "`DATA_DIR/jobs.db`",
    "store_url": "`DATA_DIR/images`",
    "triton_shared_memory": "embedded only",
    "triton_cache": "~/.cache/retouch",
    "model_repository": "the checkout's",
    "models_python": "this interpreter",
    "worker_id": "the host's name",
}
"""Defaults that are no constant."""
UNITS = {" days": 86_400, " MiB": 2**20, " KiB": 2**10}


def shown(name: str) -> str:
    """A default as the table has it."""
    if name in IN_WORDS:
        return IN_WORDS[name]
    default: Any = Settings.model_fields[name].default
    if default is None or isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return json.dumps(default)
    if isinstance(default, int | float):
        return _counted(name, default)
    return str(default)


def _counted(name: str, default: float) -> str:
    units = (" MiB", " KiB") if name.endswith("_bytes") else (" days",)
    for unit in units:
        if default and default % UNITS[unit] == 0:
            return f"{default / UNITS[unit]:g}{unit}"
    return f"{default:.10g}"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_setting_is_in_the_table_with_its_default(name: str) -> None:
    assert ROWS.get(name.upper()) == shown(name)


def test_the_table_names_nothing_else() -> None:
    table = PAGE.read_text().partition("## The embedded Triton")[0]
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {f"RETOUCH_{name.upper()}" for name in Settings.model_fields}
    known |= {"RETOUCH_URL", "RETOUCH_API_KEY"}  # of the commands
    known |= {"RETOUCH_PUBLISH", "RETOUCH_MODAL_GPU"}  # of Compose and Modal
    for page in (*PAGE.parent.glob("*.md"), PAGE.parents[1] / "README.md"):
        named = set(re.findall(r"\bRETOUCH_[A-Z_]*[A-Z]\b(?!_\*)", page.read_text()))
        assert named <= known, f"{page.name}: {named - known}"
