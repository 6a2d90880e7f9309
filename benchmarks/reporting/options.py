"""Command line options that the benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def positive(text: str) -> int:
    """A whole number from 1.

    Raises:
        ValueError: it is not one; argparse says so.
    """
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """`--output FILE.md`; the JSON goes beside it."""
    help_text = "write the Markdown here, and every figure as JSON beside it (.json)"
    parser.add_argument("--output", type=Path, metavar="FILE.md", help=help_text)


def recorded(options: argparse.Namespace) -> dict[str, Any]:
    """The options that shaped the figures."""
    return {name: value for name, value in vars(options).items() if name != "output"}
