"""The documentation builds as a site, without a broken link, anchor or page."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTHING_TO_RUN = {"architecture.md", "flows.md"}
PAGES = {page.name for page in (ROOT / "docs").glob("*.md")} - NOTHING_TO_RUN


def test_the_site_builds_with_every_link_intact(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ".ci/mkdocs.yml"]
    done = subprocess.run(
        [*command, "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "deploying" / "index.html").exists()


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_says_what_was_run_and_what_was_not(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    assert "**Not run" in text
    assert page == "tensorrt.md" or "Run so far" in text or "Proven by" in text
