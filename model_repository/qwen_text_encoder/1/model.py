"""Triton's entry point; the code is in `qwen_serving/text_encoder.py` beside the models."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qwen_serving.text_encoder import TritonPythonModel

__all__ = ["TritonPythonModel"]
