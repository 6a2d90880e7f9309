"""Model files live in another container: they import nothing of the rest of the product."""

import ast
from pathlib import Path

import pytest

from tests.model_repository.config_fit import REPOSITORY

FILES = sorted(REPOSITORY.rglob("*.py"))


def imported(source: str) -> set[str]:
    """Top-level names of every import, at any depth of the code."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_a_model_file_stands_alone(path: Path) -> None:
    assert not imported(path.read_text()) & {"gateway", "preprocessing", "export_scripts"}


def test_a_nested_import_is_seen() -> None:
    assert imported("def f():\n    from gateway.errors import X\n    import a.b") == {
        "gateway",
        "a",
    }
