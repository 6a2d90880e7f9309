"""The configs on disk: what Triton reads, and what the README says of them."""

from pathlib import Path

import pytest
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

from export_scripts.qwen_models import EDIT, GENERATION, QwenModel
from export_scripts.repository_readme import read_config, render
from tests.model_repository.config_fit import REPOSITORY, config_of

DEFAULTS = sorted(REPOSITORY.glob("*/config.pbtxt"))
VARIANTS = sorted(REPOSITORY.glob("*/configs/*.pbtxt"))
every_config = pytest.mark.parametrize(
    "path", [*DEFAULTS, *VARIANTS], ids=lambda p: str(p.relative_to(REPOSITORY))
)


def model_folder(path: Path) -> Path:
    return REPOSITORY / path.relative_to(REPOSITORY).parts[0]


@every_config
def test_is_named_for_its_folder(path: Path) -> None:
    assert read_config(path).name == model_folder(path).name


@every_config
def test_runs_on_the_cpu_or_the_gpu(path: Path) -> None:
    groups = read_config(path).instance_group
    assert [group.kind for group in groups] == [ModelInstanceGroup.KIND_AUTO]
    assert not groups[0].gpus


@every_config
def test_has_code_where_it_is_python(path: Path) -> None:
    if read_config(path).backend == "python":
        assert any(model_folder(path).glob("**/model.py"))


@pytest.mark.parametrize("path", DEFAULTS, ids=lambda p: p.parent.name)
def test_the_embedded_server_can_run_it(path: Path) -> None:
    variant = path.parent / "configs" / "embedded.pbtxt"
    served = read_config(variant if variant.exists() else path)
    assert served.backend == "python"


@pytest.mark.parametrize("path", VARIANTS, ids=lambda p: f"{p.parents[1].name}-{p.stem}")
def test_a_variant_speaks_like_the_default(path: Path) -> None:
    variant, default = read_config(path), config_of(model_folder(path).name)
    assert list(variant.input) == list(default.input)
    assert list(variant.output) == list(default.output)
    assert variant.max_batch_size == default.max_batch_size


@pytest.mark.parametrize("model", [GENERATION, EDIT], ids=lambda m: m.name)
def test_what_the_exporter_fills_exists(model: QwenModel) -> None:
    names = {path.parent.name for path in DEFAULTS}
    assert {model.name, *model.stages.values()} <= names


def test_the_readme_is_fresh(repository: Path) -> None:
    assert (repository / "README.md").read_text() == render(repository), "run retouch-export readme"
