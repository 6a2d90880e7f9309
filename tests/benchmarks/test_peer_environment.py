"""The peers' own environment has every package that their code imports."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PEERS = CHECKOUT / "benchmarks" / "peers"
OURS = ("benchmarks", "gateway", "preprocessing")
IN_THAT_ENVIRONMENT = ("fastapi_peer", "litserve_peer", "bentoml_peer")
"""Peers that have no interpreter with the gateway's packages."""
NOT_HERE = {"bentoml", "litserve"}
"""Packages that the tests' environment has not."""


def imported(module: str, seen: set[str]) -> Iterator[str]:
    """Packages from elsewhere that a module of ours needs, itself or through others of ours."""
    path = CHECKOUT / (module.replace(".", "/") + ".py")
    if module in seen or not path.exists():
        return
    seen.add(module)
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [node.module, *(name for name in inside if name.startswith(OURS))]
        for name in names:
            top = name.split(".")[0]
            if top in OURS:
                yield from imported(name, seen)
            elif top not in sys.stdlib_module_names:
                yield top


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_requirements_have_all_that_is_imported() -> None:
    listed = {
        normal(line.split("==")[0])
        for line in (PEERS / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    distributions = packages_distributions()
    for peer in IN_THAT_ENVIRONMENT:
        needed = set(imported(f"benchmarks.peers.{peer}", set()))
        assert "cv2" in needed, "the peers do the product's own image work"
        for name in needed - NOT_HERE:
            provided_by = {normal(found) for found in distributions[name]}
            assert provided_by & (listed | {"pydantic"}), f"{peer} needs {name}"
        assert needed & NOT_HERE <= listed


def test_what_the_gateway_has_too_is_of_the_same_version() -> None:
    pinned = dict(
        line.split("==")
        for line in (CHECKOUT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for line in (PEERS / "requirements.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        if name in pinned:
            assert version == pinned[name], name
