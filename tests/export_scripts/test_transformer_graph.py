"""The transformer's ONNX graph: any shape, both kinds of checkpoint, large files, refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from export_scripts.checked_graph import compare_graph, write_graph
from export_scripts.export_errors import ExportError
from export_scripts.transformer_graph import (
    QwenImageTransformer2DModel,
    _cases,
    export_transformer,
)


@pytest.fixture(scope="module")
def folder(generation: Path) -> Path:
    return generation / "transformer"


@pytest.fixture(scope="module")
def graph(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("graph") / "model.onnx"
    assert 0 <= export_transformer(folder, target) < 1e-5
    return target


def with_config(folder: Path, target: Path, **changes: Any) -> Path:
    """The same weights under another config."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text()) | changes
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_no_length_is_frozen(graph: Path) -> None:
    inputs = {entry.name: entry for entry in onnx.load(graph).graph.input}
    for name, axes in {"HIDDEN_STATES": (0, 1), "ENCODER_HIDDEN_STATES": (0, 1)}.items():
        dims = inputs[name].type.tensor_type.shape.dim
        assert all(dims[axis].dim_param for axis in axes)
    assert not (graph.parent / "model.onnx.data").exists()


def test_a_checkpoint_that_marks_conditions_has_another_input(folder: Path, tmp_path: Path) -> None:
    """Its weights lie beside the graph, as those of more than 2 GB do."""
    source = with_config(folder, tmp_path / "weights", zero_cond_t=True)
    target = tmp_path / "model.onnx"
    assert export_transformer(source, target, one_file_max_bytes=2**16) < 1e-5
    assert (tmp_path / "model.onnx.data").stat().st_size > target.stat().st_size
    names = [entry.name for entry in onnx.load(target, load_external_data=False).graph.input]
    assert "CONDITION_TOKENS" in names


def test_the_network_is_left_as_it_was(folder: Path, graph: Path) -> None:
    network = QwenImageTransformer2DModel.from_pretrained(folder).eval()
    assert compare_graph(graph, _cases(network)) < 1e-5


@pytest.mark.parametrize("name", ["guidance_embeds", "use_layer3d_rope"])
def test_what_has_no_graph_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    source = with_config(folder, tmp_path / "weights", **{name: True})
    with pytest.raises(ExportError, match=f"{name} has no ONNX graph; use engine torch"):
        export_transformer(source, tmp_path / "model.onnx")


def test_a_graph_of_other_weights_is_refused(folder: Path, graph: Path) -> None:
    network = QwenImageTransformer2DModel.from_pretrained(folder).eval()
    with torch.no_grad():
        network.proj_out.weight.mul_(1.01)
    with pytest.raises(ExportError, match=r"model\.onnx differs from torch by .*, over"):
        compare_graph(graph, _cases(network))


class _Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_a_frozen_length_is_noticed(tmp_path: Path) -> None:
    target = tmp_path / "doubled.onnx"
    write_graph(_Doubled(), {"X": torch.ones(2, 3)}, target, output="Y", axes={"X": (0,)})
    assert compare_graph(target, [({"X": torch.ones(5, 3)}, torch.full((5, 3), 2.0))]) == 0
    with pytest.raises(ExportError, match=r"does not run at the shapes \{'X': \(2, 4\)\}"):
        compare_graph(target, [({"X": torch.ones(2, 4)}, torch.full((2, 4), 2.0))])


def test_what_cannot_be_traced_is_refused(tmp_path: Path) -> None:
    class Branches(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    target = tmp_path / "branches.onnx"
    with pytest.raises(ExportError, match=r"branches\.onnx cannot be made of the torch network"):
        write_graph(Branches(), {"X": torch.ones(2, 3)}, target, output="Y", axes={"X": (0,)})
