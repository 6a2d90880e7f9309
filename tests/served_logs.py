"""Reads what served processes logged for what must never be in a log."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.gateway.log_watch import SECRET

CHECKOUT = Path(__file__).resolve().parents[1]
SENT_BY = ("tests", "benchmarks")
PROMPT_FIELDS = ("prompt", "negative_prompt")
MIN_PROMPT_CHARS = 8
"""Shorter ones are words that any log may have."""
_CONFIDENTIAL = re.compile(r"secret|password|token|api_key")


class ServedLogs:
    """Log files of processes that tests have started, and what must not be in them."""

    def __init__(self) -> None:
        self._secrets: dict[Path, set[str]] = {}
        self.lines = 0
        """Read so far."""

    def watch(self, log: Path, settings: Mapping[str, object]) -> None:
        """A process logs here; the values of its confidential settings are secrets."""
        told = {str(value) for name, value in settings.items() if _CONFIDENTIAL.search(name)}
        # A library may log the part of a webhook's secret that it computes with.
        told |= {secret.removeprefix("whsec_") for secret in told}
        self._secrets.setdefault(log, set()).update(told)

    def leaks(self) -> list[str]:
        """Every line with a key, a picture, a prompt of the tests' or a secret setting."""
        prompts = prompts_sent()
        return [
            f"{log}: {line[:300]}"
            for log, secrets in self._secrets.items()
            if log.exists()
            for line in self._leaking(log.read_text(errors="replace"), prompts | secrets)
        ]

    def _leaking(self, text: str, phrases: Iterable[str]) -> Iterator[str]:
        lines = text.splitlines()
        self.lines += len(lines)
        found = {phrase for phrase in phrases if phrase in text}
        return (line for line in lines if SECRET.search(line) or any(f in line for f in found))


@cache
def prompts_sent() -> frozenset[str]:
    """Prompts in the sources of tests and benchmarks that the product's own words do not have."""
    own = "\n".join(
        file.read_text()
        for folder in ("gateway", "model_repository")
        for file in (CHECKOUT / folder).rglob("*.py")
    )
    return frozenset(
        prompt
        for folder in SENT_BY
        for file in (CHECKOUT / folder).rglob("*.py")
        for prompt in prompts_in(file.read_text())
        if len(prompt) >= MIN_PROMPT_CHARS and prompt not in own
    )


def prompts_in(source: str) -> Iterator[str]:
    """What stands behind `prompt=`, behind `"prompt":`, and in constants named `PROMPT...`."""
    for node in ast.walk(ast.parse(source)):
        for value in _prompts_at(node):
            yield from _texts(value)


def _prompts_at(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.keyword(arg=name, value=value) if name in PROMPT_FIELDS:
            yield value
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.startswith("PROMPT"):
            yield value
        case ast.Dict(keys=names, values=values):
            for name, value in zip(names, values, strict=True):
                if isinstance(name, ast.Constant) and name.value in PROMPT_FIELDS:
                    yield value


def _texts(value: ast.expr) -> Iterator[str]:
    """Text constants, of a tuple, a list or an f-string one by one."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value.strip()
    for part in getattr(value, "elts", ()) or getattr(value, "values", ()):
        yield from _texts(part)


WATCHED = ServedLogs()
"""All of this test run."""
