"""The VAE's halves as ONNX graphs equal the network they were made of."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from export_scripts.export_errors import ExportError
from export_scripts.vae_graph import TOLERANCE, AutoencoderKLQwenImage, _compare, _Encoder


@pytest.fixture(scope="module")
def network(generation: Path) -> Any:
    return AutoencoderKLQwenImage.from_pretrained(generation / "vae").eval()


def run(graph: Path, example: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: example.numpy()})[0]


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 16, 16), (2, 72, 40)])
def test_the_encoder_equals_diffusers(
    installed: Path, network: Any, size: tuple[int, int, int]
) -> None:
    batch, height, width = size
    image = torch.rand(batch, 3, 1, height, width) * 2 - 1
    moments = run(installed / "qwen_vae_encoder/1/model.onnx", image)
    expected = network.encode(image).latent_dist.parameters.numpy()
    assert np.abs(moments - expected).max() < TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 2, 2), (2, 9, 5)])
def test_the_decoder_equals_diffusers(
    installed: Path, network: Any, size: tuple[int, int, int]
) -> None:
    batch, height, width = size
    latents = torch.randn(batch, 16, 1, height, width)
    picture = run(installed / "qwen_vae_decoder/1/model.onnx", latents)
    assert np.abs(picture - network.decode(latents).sample.numpy()).max() < TOLERANCE


def test_a_graph_that_differs_is_refused(installed: Path, network: Any, tmp_path: Path) -> None:
    graph = onnx.load(installed / "qwen_vae_encoder/1/model.onnx")
    weight = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    spoilt = onnx.numpy_helper.to_array(weight) * 1.1
    weight.CopyFrom(onnx.numpy_helper.from_array(spoilt, weight.name))
    onnx.save(graph, tmp_path / "spoilt.onnx")
    with pytest.raises(ExportError, match=r"spoilt\.onnx differs from torch by .*, over 0\.0001"):
        _compare(_Encoder(network), torch.randn(1, 3, 1, 32, 32), tmp_path / "spoilt.onnx")
