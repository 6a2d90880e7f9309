"""What the models import on a machine with CUDA.

The extra `models` with ONNX Runtime's GPU build, and `quantised`: exports in fp8 are read with it.
"""

import sys
import tomllib
from pathlib import Path


def gpu_requirements(pyproject: str) -> list[str]:
    """The extras of a pyproject.toml, onnxruntime replaced by the extra `gpu`."""
    extras = tomllib.loads(pyproject)["project"]["optional-dependencies"]
    kept = [line for line in extras["models"] if not line.startswith("onnxruntime")]
    return [*kept, *extras["gpu"], *extras["quantised"]]


if __name__ == "__main__":
    print("\n".join(gpu_requirements(Path(sys.argv[1]).read_text())))
