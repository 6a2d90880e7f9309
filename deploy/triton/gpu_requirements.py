"""What the models import on a machine with CUDA: the extra `models`, ONNX Runtime for GPUs."""

import sys
import tomllib
from pathlib import Path


def gpu_requirements(pyproject: str) -> list[str]:
    """The extra `models` of a pyproject.toml, its onnxruntime replaced by the extra `gpu`."""
    extras = tomllib.loads(pyproject)["project"]["optional-dependencies"]
    kept = [line for line in extras["models"] if not line.startswith("onnxruntime")]
    return [*kept, *extras["gpu"]]


if __name__ == "__main__":
    print("\n".join(gpu_requirements(Path(sys.argv[1]).read_text())))
