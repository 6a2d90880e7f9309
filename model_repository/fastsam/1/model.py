"""Triton's entry point, copied into every version; the code is in `mask_serving/`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mask_serving.fastsam import FastSamModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
