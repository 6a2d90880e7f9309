"""`stage.json`: what may stand in it, what is said of the rest, and the class that it picks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwen_serving.engines import model_class
from qwen_serving.stage_settings import Bucket, StageSettings, StageSettingsError
from tests.model_repository.versions import write_version


def read(tmp_path: Path, **settings: object) -> StageSettings:
    return StageSettings.read(write_version(tmp_path, **settings) / "1")


def test_everything_has_a_default(tmp_path: Path) -> None:
    assert read(tmp_path) == StageSettings(
        engine="torch", precision="auto", compile=False, warm_up=()
    )


def test_without_the_file_a_graph_is_run_by_onnx(tmp_path: Path) -> None:
    assert StageSettings.read(tmp_path).engine == "torch"
    (tmp_path / "model.onnx").touch()
    assert StageSettings.read(tmp_path).engine == "onnx"


def test_the_file_outweighs_a_graph(tmp_path: Path) -> None:
    version = write_version(tmp_path, engine="torch") / "1"
    (version / "model.onnx").touch()
    assert StageSettings.read(version).engine == "torch"


def test_everything_can_be_set(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        part="transformer",
        engine="torch",
        precision="int8",
        compile=True,
        warm_up=[{"width": 1024, "height": 768, "conditions": 2}, {"width": 512, "height": 512}],
    )
    assert settings.precision == "int8"
    assert settings.compile
    assert settings.warm_up == (Bucket(1024, 768, 2), Bucket(512, 512))
    assert str(settings.warm_up[0]) == "1024x768 with 2 condition images"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "tensorrt"}, "engine is one of torch, onnx; got 'tensorrt'"),
        ({"precision": "int4"}, "precision is one of auto, bf16, fp16, fp32, fp8, int8; got"),
        ({"precision": None}, "precision is one of .*; got None"),
        ({"compile": 1}, "compile is true or false; got 1"),
        ({"warm_up": {}}, "warm_up is a list of sizes"),
        ({"warm_up": [[1024, 1024]]}, "has width, height and may have conditions"),
        ({"warm_up": [{"width": 1024}]}, "has width, height and may have conditions"),
        ({"warm_up": [{"width": 1000, "height": 64}]}, "width in warm_up .* of 16; got 1000"),
        ({"warm_up": [{"width": 64, "height": 0}]}, "height in warm_up .* of 16; got 0"),
        ({"warm_up": [{"width": 64, "height": True}]}, "height in warm_up .*; got True"),
        (
            {"warm_up": [{"width": 64, "height": 64, "conditions": -1}]},
            "conditions in warm_up is 0 or more; got -1",
        ),
        ({"engine": "onnx", "precision": "int8"}, "precision is one of auto, fp32; got 'int8'"),
        ({"engine": "onnx", "compile": True}, "compile is false; got true"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StageSettingsError, match=message):
        read(tmp_path, **settings)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "stage.json").write_text(text)
    with pytest.raises(StageSettingsError, match=r"stage\.json is "):
        StageSettings.read(tmp_path)


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae_encoder", "vae_decoder"])
def test_the_engine_picks_the_class(tmp_path: Path, part: str) -> None:
    for engine in ("torch", "onnx"):
        write_version(tmp_path, engine=engine)
        module = model_class(part, tmp_path / "1").__module__
        assert ("onnx" in module) == (engine == "onnx")


def test_a_half_of_the_vae_in_onnx_starts_without_torch(tmp_path: Path, repository: Path) -> None:
    write_version(tmp_path, engine="onnx")
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.model_repository import backend_utils\n"
        "sys.modules['triton_python_backend_utils'] = backend_utils\n"
        "from qwen_serving.engines import model_class\n"
        f"model_class('vae_decoder', Path({json.dumps(str(tmp_path / '1'))}))\n"
        "assert 'torch' not in sys.modules\n"
    )
    path = f"{repository.parent}:{repository}"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path})
