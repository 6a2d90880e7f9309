"""The table "Where a change belongs" names files that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
SECTION = PAGE[PAGE.index("## Where a change belongs") :].split("\n## ", 1)[0]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| ")]


def named_files(row: str) -> Iterator[Path]:
    """The row's paths; a bare file name stands in the folder of the path before it."""
    folder = ROOT
    for name in re.findall(r"`([^`\s]+(?:\.py|/))`", row):
        path = ROOT / name if "/" in name else folder / name
        folder = path if name.endswith("/") else path.parent
        yield path


def test_every_file_of_a_row_exists() -> None:
    named = [path for row in ROWS for path in named_files(row)]
    assert len(named) > 100
    assert [str(path.relative_to(ROOT)) for path in named if not path.exists()] == []


def test_every_package_of_the_gateway_has_a_row() -> None:
    packages = [path.parent for path in (ROOT / "gateway").glob("*/__init__.py")]
    named = {path for row in ROWS for path in named_files(row)}
    assert len(packages) > 10
    assert [path.name for path in packages if path not in named] == []
