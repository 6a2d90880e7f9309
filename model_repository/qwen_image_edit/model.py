"""Triton's entry point, copied into every version; the code is in `qwen_serving/`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qwen_serving.pipeline import TritonPythonModel

__all__ = ["TritonPythonModel"]
