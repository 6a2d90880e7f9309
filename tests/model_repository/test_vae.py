"""The VAE's halves, in torch and as ONNX graphs, against diffusers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLQwenImage

from export_scripts.vae_graph import export_vae_halves
from qwen_serving.onnx_half import TritonPythonModel as OnnxHalf
from qwen_serving.vae import Decoder, Encoder
from tests.model_repository.backend_utils import TritonError
from tests.model_repository.in_process import (
    answers,
    error_code,
    largest_difference,
    load,
    request,
)


@pytest.fixture(scope="module")
def network(generation: Path) -> Any:
    """The whole autoencoder, diffusers' own."""
    return AutoencoderKLQwenImage.from_pretrained(generation / "vae").eval()


@pytest.fixture(scope="module")
def encoder(generation: Path, version_of: Any) -> Encoder:
    return load(Encoder(), version_of(generation / "vae"))


@pytest.fixture(scope="module")
def decoder(generation: Path, version_of: Any) -> Decoder:
    return load(Decoder(), version_of(generation / "vae"))


@pytest.fixture(scope="module")
def onnx_halves(
    generation: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[OnnxHalf, OnnxHalf]:
    """Encoder and decoder."""
    folders = [tmp_path_factory.mktemp(name) for name in ("encoder", "decoder")]
    for folder in folders:
        (folder / "1").mkdir()
    export_vae_halves(generation / "vae", *(folder / "1" / "model.onnx" for folder in folders))
    return load(OnnxHalf(), folders[0]), load(OnnxHalf(), folders[1])


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (1, 3, 1, height, width)).astype(np.float32)


def latents(height: int, width: int, seed: int = 0, count: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 16, 1, height, width), np.float32)


@torch.inference_mode()
def encoded(network: Any, picture: np.ndarray) -> np.ndarray:
    return network.encode(torch.from_numpy(picture)).latent_dist.parameters.numpy()


@torch.inference_mode()
def decoded(network: Any, code: np.ndarray) -> np.ndarray:
    return network.decode(torch.from_numpy(code)).sample.numpy()


def test_encoding_equals_diffusers(encoder: Encoder, network: Any) -> None:
    (moments,) = answers(encoder, [request(IMAGE=image(48, 64))], "MOMENTS")
    assert moments.shape == (1, 32, 1, 6, 8)
    assert largest_difference(moments, encoded(network, image(48, 64))) < 1e-5


def test_decoding_equals_diffusers(decoder: Decoder, network: Any) -> None:
    (picture,) = answers(decoder, [request(LATENTS=latents(6, 4))], "IMAGE")
    assert picture.shape == (1, 3, 1, 48, 32)
    assert largest_difference(picture, decoded(network, latents(6, 4))) < 1e-5


def test_sizes_may_be_mixed(decoder: Decoder, network: Any) -> None:
    codes = [latents(4, 4, 1), latents(2, 6, 2), latents(4, 4, 3)]
    pictures = answers(decoder, [request(LATENTS=code) for code in codes], "IMAGE")
    for code, picture in zip(codes, pictures, strict=True):
        assert largest_difference(picture, decoded(network, code)) < 1e-5


def test_a_half_holds_no_weights_of_the_other(encoder: Encoder, decoder: Decoder) -> None:
    assert not list(encoder.network.decoder.parameters())
    assert not list(decoder.network.encoder.parameters())


def test_two_pictures_in_one_request_are_refused_alone(decoder: Decoder) -> None:
    two, one = request(LATENTS=latents(2, 2, count=2)), request(LATENTS=latents(2, 2))
    assert [error_code(r) for r in decoder.execute([two, one])] == [TritonError.INVALID_ARG, None]


def test_the_onnx_encoder_equals_torch(
    onnx_halves: tuple[OnnxHalf, OnnxHalf], encoder: Encoder
) -> None:
    ask = request(IMAGE=image(80, 48))
    (onnx,), (torch_,) = (answers(m, [ask], "MOMENTS") for m in (onnx_halves[0], encoder))
    assert largest_difference(onnx, torch_) < 1e-4


def test_the_onnx_decoder_equals_torch(
    onnx_halves: tuple[OnnxHalf, OnnxHalf], decoder: Decoder
) -> None:
    ask = request(LATENTS=latents(10, 6))
    (onnx,), (torch_,) = (answers(m, [ask], "IMAGE") for m in (onnx_halves[1], decoder))
    assert largest_difference(onnx, torch_) < 1e-4


def test_the_onnx_half_hands_each_request_its_own(onnx_halves: tuple[OnnxHalf, OnnxHalf]) -> None:
    decoder = onnx_halves[1]
    codes = [latents(4, 4, seed, count) for seed, count in enumerate((1, 2, 1))]
    together = answers(decoder, [request(LATENTS=code) for code in codes], "IMAGE")
    for code, picture in zip(codes, together, strict=True):
        alone = answers(decoder, [request(LATENTS=code)], "IMAGE")[0]
        assert largest_difference(picture, alone) < 1e-5


def test_the_onnx_half_answers_what_it_cannot_run(onnx_halves: tuple[OnnxHalf, OnnxHalf]) -> None:
    wrong = request(LATENTS=np.zeros((1, 3, 1, 4, 4), np.float32))
    assert [error_code(r) for r in onnx_halves[1].execute([wrong])] == [TritonError.INTERNAL]
