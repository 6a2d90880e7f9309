"""FastSAM's served graph: the committed demo's, and one exported here from a fresh network."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from export_scripts.demo import SEGMENTER
from export_scripts.demo_scenes import draw_scene
from export_scripts.demo_segmenter import build_network, save
from export_scripts.export_errors import ExportError
from export_scripts.fastsam_graph import (
    CANDIDATES,
    FINE,
    OUTPUTS,
    ServedFastSam,
    export_onnx,
    load_network,
)
from preprocessing.fastsam import refined


def session_of(model: Path) -> Any:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def demo() -> Any:
    return session_of(SEGMENTER)


def scenes(*seeds: int, size: int = 320) -> np.ndarray:
    return np.stack([draw_scene(seed, size).image for seed in seeds])


def test_the_demo_is_a_valid_graph() -> None:
    onnx.checker.check_model(str(SEGMENTER), full_check=True)


def test_the_demo_says_its_licence_and_size(demo: Any) -> None:
    assert demo.get_modelmeta().custom_metadata_map == {
        "license": "AGPL-3.0",
        "image_size": "320",
        "precision": "fp32",
    }


def test_pixels_go_in_as_they_are(demo: Any) -> None:
    (images,) = demo.get_inputs()
    assert (images.name, images.type) == ("IMAGES", "tensor(uint8)")
    assert images.shape == ["batch", "height", "width", 3]


def test_a_batch_equals_its_pictures_alone(demo: Any) -> None:
    pictures = scenes(1, 2, 3)
    together = demo.run(OUTPUTS, {"IMAGES": pictures})
    for index in range(3):
        alone = demo.run(OUTPUTS, {"IMAGES": pictures[index : index + 1]})
        for name, part, whole in zip(OUTPUTS, alone, together, strict=True):
            level = 1 if name == "PROTOTYPES" else 1e-3
            assert np.abs(part[0].astype(float) - whole[index]).max() <= level


@pytest.mark.parametrize(
    ("height", "width"), [(160, 160), (320, 320), (640, 640), (320, 192), (160, 480), (32, 320)]
)
def test_sides_are_free(demo: Any, height: int, width: int) -> None:
    picture = scenes(4, size=640)[:, :height, :width]
    detections, prototypes, levels, size = demo.run(OUTPUTS, {"IMAGES": picture})
    assert levels.shape == (1, 32, 2)
    assert detections.shape == (1, CANDIDATES, 37)
    assert prototypes.shape == (1, 32, height // 4, width // 4)
    assert size.tolist() == [[320]]
    assert np.isfinite(detections).all()


def test_rows_are_those_of_the_networks_own_decoding() -> None:
    torch.manual_seed(2)
    network = build_network().float().fuse().eval()
    for weights in network.parameters():  # as they begin, most rows are alike
        torch.nn.init.normal_(weights, std=0.1)
    images = torch.randint(0, 256, (2, 320, 320, 3), dtype=torch.uint8)
    own = copy.deepcopy(network)
    own.model[-1].export = True
    with torch.no_grad():
        decoded, prototypes = own(images.permute(0, 3, 1, 2).float() / 255)
        rows, _, levels, _, _ = ServedFastSam(network, 320)(images)
    best = decoded.transpose(1, 2)
    order = best[..., 4].argsort(dim=1, descending=True)[:, :CANDIDATES]
    wanted = best.gather(1, order[..., None].expand(-1, -1, best.shape[-1]))
    falls = wanted[..., 4].diff(dim=1) < 0
    alone = falls[:, 1:] & falls[:, :-1]  # rows of one score may come in any order
    assert alone.float().mean() > 0.4
    assert torch.allclose(rows[:, 1:-1][alone], wanted[:, 1:-1][alone], rtol=1e-5, atol=1e-3)
    assert torch.allclose(levels[..., 1], prototypes.amin((2, 3)))


def test_the_best_come_first(demo: Any) -> None:
    scores = demo.run(["DETECTIONS"], {"IMAGES": scenes(5, 6)})[0][..., 4]
    assert (np.diff(scores, axis=1) <= 0).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[:, 0].min() > 0.5


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServedFastSam, Any]:
    """An untrained network, by way of a checkpoint file, in torch and exported."""
    folder = tmp_path_factory.mktemp("fastsam")
    save(lively_network(), folder / "fresh.pt", 256)
    network = load_network(folder / "fresh.pt")
    export_onnx(network, folder / "fresh.onnx", image_size=256, licence="none")
    return ServedFastSam(network, 256).eval(), session_of(folder / "fresh.onnx")


def lively_network() -> Any:
    """Untrained, with weights large enough that the picture reaches the outputs."""
    torch.manual_seed(0)
    network = build_network()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 4 and weight.requires_grad:
                weight *= 3
    return network


@pytest.mark.parametrize("shape", [(1, 160, 224), (3, 192, 160)])
def test_an_export_equals_torch(
    fresh: tuple[ServedFastSam, Any], shape: tuple[int, int, int]
) -> None:
    served, session = fresh
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    with torch.inference_mode():
        rows, prototypes, levels, size, _ = (p.numpy() for p in served(torch.from_numpy(images)))
    exported = session.run(OUTPUTS, {"IMAGES": images})
    types = [rows.dtype, prototypes.dtype, levels.dtype, size.dtype]
    assert [part.dtype for part in exported] == types
    assert exported[1].dtype == np.uint8
    np.testing.assert_allclose(exported[0][..., 4], rows[..., 4], atol=1e-5)
    assert distance_to_nearest(exported[0][:, :100], rows).max() < 1e-2
    assert np.abs(exported[1].astype(int) - prototypes).max() <= 1
    np.testing.assert_allclose(exported[2], levels, atol=1e-5)
    np.testing.assert_array_equal(exported[3], size)


def test_prototypes_lose_at_most_half_a_level_and_with_both_bytes_a_hundredth(
    fresh: tuple[ServedFastSam, Any],
) -> None:
    served, session = fresh
    images = np.random.default_rng(1).integers(0, 256, (2, 160, 224, 3), np.uint8)
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        exact = served.network(pixels)[1].numpy()
    names = ["PROTOTYPES", "PROTOTYPE_LEVELS", FINE]
    stored, levels, fine = session.run(names, {"IMAGES": images})
    step, low = levels[..., 0, None, None], levels[..., 1, None, None]
    assert (np.abs(stored * step + low - exact) <= 0.51 * step + 1e-5).all()
    for row in range(2):
        both, finer = refined(stored[row], fine[row], levels[row])
        steps, lows = finer.T[..., None, None]
        assert (np.abs(both * steps + lows - exact[row]) <= 0.01 * step[row] + 1e-5).all()


def test_an_answer_is_well_under_a_megabyte(demo: Any) -> None:
    answer = demo.run(OUTPUTS, {"IMAGES": np.zeros((1, 640, 640, 3), np.uint8)})
    assert sum(part.nbytes for part in answer) < 870_000


def distance_to_nearest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each row, whatever the order: that of rows with nearly equal scores is free."""
    return np.abs(rows[:, :, None] - others[:, None]).max(-1).min(-1)


@pytest.mark.parametrize("classes", [80])
def test_another_task_is_refused(tmp_path: Path, classes: int) -> None:
    network = build_network()
    network.model[-1].nc = classes
    save(network, tmp_path / "other.pt", 256)
    with pytest.raises(ExportError, match="1 class with 32 coefficients; it is Segment with 80"):
        load_network(tmp_path / "other.pt")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"no weights")
    with pytest.raises(ExportError, match=r"weights\.pt is no FastSAM checkpoint"):
        load_network(tmp_path / "weights.pt")


def test_an_export_records_what_it_was_told(fresh: tuple[ServedFastSam, Any]) -> None:
    described = fresh[1].get_modelmeta().custom_metadata_map
    assert described == {"license": "none", "image_size": "256", "precision": "fp32"}
