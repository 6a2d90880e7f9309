"""Triton's entry point; the code is in `qwen_serving/` beside the models."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if Path(__file__).with_name("model.onnx").exists():
    from qwen_serving.onnx_half import TritonPythonModel
else:
    from qwen_serving.vae import Encoder as TritonPythonModel

__all__ = ["TritonPythonModel"]
