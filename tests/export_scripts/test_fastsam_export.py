"""`retouch-export fastsam`: checkpoints into versions, in every precision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from export_scripts.cli import app
from export_scripts.demo import SEGMENTER
from export_scripts.demo_checkpoint import network_of
from export_scripts.demo_scenes import HELD_OUT_SEEDS, draw_scene
from export_scripts.demo_segmenter import save
from export_scripts.evaluate_segmenter import evaluate
from export_scripts.export_errors import ExportError
from export_scripts.fastsam_comparison import compare_precisions, open_session, run
from export_scripts.fastsam_export import PRECISIONS, FastSamExport, export_fastsam
from export_scripts.fastsam_precision import head_of
from export_scripts.repository_skeleton import create_repository
from preprocessing.codec import encode_png

SCENES = [draw_scene(seed, 384).image for seed in range(5000, 5012)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "demo.pt"
    save(network_of(SEGMENTER), path, 320)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, scene in enumerate(SCENES):
        (folder / f"{number}.png").write_bytes(encode_png(scene))
    return folder


@pytest.fixture(scope="module")
def exports(
    weights: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, FastSamExport]]:
    """A repository with one version per precision."""
    repository = tmp_path_factory.mktemp("exports") / "repository"
    create_repository(repository)
    exported = {
        precision: export_fastsam(
            str(weights), repository, image_size=320, precision=precision, pictures=pictures
        )
        for precision in PRECISIONS
    }
    return repository, exported


def graph_of(exports: tuple[Path, dict[str, FastSamExport]], precision: str) -> Path:
    repository, exported = exports
    return repository / "fastsam" / str(exported[precision].version) / "model.onnx"


def test_each_export_is_a_version(exports: tuple[Path, dict[str, FastSamExport]]) -> None:
    repository, exported = exports
    assert [exported[name].version for name in PRECISIONS] == [1, 2, 3]
    for version in "123":
        folder = repository / "fastsam" / version
        files = {path.name for path in folder.iterdir() if path.is_file()}
        assert files == {"model.onnx", "model.py", "export.json"}
    assert not list((repository / ".versions").rglob("*.onnx"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_finds_the_objects(
    exports: tuple[Path, dict[str, FastSamExport]], precision: str
) -> None:
    scores = evaluate(graph_of(exports, precision), seeds=HELD_OUT_SEEDS[:12])
    assert scores["box"] > 0.93
    assert scores["click"] > 0.9


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.995), ("int8", 0.97)])
def test_a_lower_precision_agrees_with_float32(
    exports: tuple[Path, dict[str, FastSamExport]], precision: str, least: float
) -> None:
    agreement = exports[1][precision].agreement
    assert agreement is not None
    assert agreement.instances > 10
    assert agreement.mean_iou > least
    assert exports[1][precision].graph_bytes < 0.6 * exports[1]["fp32"].graph_bytes


def test_8_bits_stop_before_the_heads_decode(
    exports: tuple[Path, dict[str, FastSamExport]],
) -> None:
    model = onnx.load(graph_of(exports, "int8"))
    head = head_of(model)
    made_by = {name: node for node in model.graph.node for name in node.output}
    quantised = [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and made_by[node.input[0]].op_type == "DequantizeLinear"
    ]
    assert len(quantised) > 60
    assert not [name for name in quantised if name.startswith(f"{head}dfl")]
    decode = [
        node.name
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        and node.name.startswith(f"{head}Mul")
    ]
    assert decode == []


def test_the_record_says_where_it_comes_from(
    exports: tuple[Path, dict[str, FastSamExport]],
) -> None:
    record = json.loads(graph_of(exports, "int8").with_name("export.json").read_text())
    assert record["source"] == "demo.pt"
    assert len(record["sha256"]) == 64
    assert record["licence"] == "AGPL-3.0"
    assert record["precision"] == "int8"
    assert record["torch_difference"]["box_px"] < 0.05


def test_a_broken_precision_is_noticed(
    exports: tuple[Path, dict[str, FastSamExport]], tmp_path: Path
) -> None:
    graph = onnx.load(graph_of(exports, "fp32"))
    for weight in graph.graph.initializer:
        if weight.name.endswith("cv3.0.2.bias"):
            values = onnx.numpy_helper.to_array(weight) - 100
            weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    broken = tmp_path / "broken.onnx"
    onnx.save(graph, broken)
    with pytest.raises(ExportError, match="finds other masks than float32"):
        compare_precisions(graph_of(exports, "fp32"), broken, SCENES[:6], 320)


@pytest.mark.parametrize("shape", [(200, 320), (320, 60), (31, 640)])
def test_odd_shapes_run(
    exports: tuple[Path, dict[str, FastSamExport]], shape: tuple[int, int]
) -> None:
    picture = np.ascontiguousarray(draw_scene(3, 640).image[: shape[0], : shape[1]])
    instances = run(open_session(graph_of(exports, "fp32")), picture, 320)
    assert instances.plan.image_wh == (shape[1], shape[0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image_size": 100}, "multiple of 32 from 160"),
        ({"precision": "int4"}, "there are fp32, fp16, int8"),
        ({"precision": "int8"}, "--pictures"),
        ({"weights": "nothing.pt"}, "There is no file nothing.pt"),
    ],
)
def test_what_does_not_fit_is_said(
    exports: tuple[Path, dict[str, FastSamExport]], weights: Path, options: dict, says: str
) -> None:
    arguments = {"weights": str(weights), "image_size": 320, **options}
    with pytest.raises(ExportError, match=says):
        export_fastsam(arguments.pop("weights"), exports[0], **arguments)


def test_a_folder_that_is_no_repository_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="retouch-export init"):
        export_fastsam(str(weights), tmp_path)


def test_the_command_prints_the_comparison(
    exports: tuple[Path, dict[str, FastSamExport]], weights: Path
) -> None:
    arguments = ["fastsam", "--weights", str(weights), "--imgsz", "160"]
    result = CliRunner().invoke(app, [*arguments, "--repository", str(exports[0])])
    assert result.exit_code == 0, result.output
    assert "fastsam version 4" in result.output
    assert "against torch" in result.output
    missing = CliRunner().invoke(app, ["fastsam", "--weights", "no.pt"])
    assert missing.exit_code == 1
    assert "There is no file no.pt" in missing.output
