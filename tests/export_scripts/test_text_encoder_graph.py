"""The language model's ONNX graph: any shape, with pictures and without, large files."""

from pathlib import Path

import onnx
import pytest

from export_scripts.text_encoder_graph import export_text_encoder


@pytest.fixture(scope="module")
def graph(edit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights lie beside it, as those of more than 2 GB do."""
    target = tmp_path_factory.mktemp("graph") / "model.onnx"
    difference = export_text_encoder(edit / "text_encoder", target, one_file_max_bytes=2**16)
    assert 0 <= difference < 1e-5
    return target


def test_weights_may_lie_beside_the_graph(graph: Path) -> None:
    assert (graph.parent / "model.onnx.data").stat().st_size > 2**16


def test_no_length_is_frozen(graph: Path) -> None:
    inputs = onnx.load(graph, load_external_data=False).graph.input
    lengths = {
        entry.name: [bool(dim.dim_param) for dim in entry.type.tensor_type.shape.dim]
        for entry in inputs
    }
    assert lengths == {
        "INPUT_IDS": [True, True],
        "POSITIONS": [False, True, True],
        "PICTURE_STATES": [True, False],
    }
