"""The Dockerfiles: linted, and held against what the product promises of them."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL_PACKAGES = {"qwen_serving", "mask_serving"}
"""In the model repository, which is copied as a whole."""
MAKEFILE = (ROOT / "Makefile").read_text()
DOCKERFILES = sorted((ROOT / "deploy").glob("*/Dockerfile"))


def instructions(dockerfile: Path) -> list[str]:
    """Whole instructions, continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--no-color", dockerfile], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_images_are_pinned_unprivileged_and_checked(dockerfile: Path) -> None:
    lines = instructions(dockerfile)
    pins = [line.split("=")[1] for line in lines if line.startswith("ARG")]
    assert all(re.search(r"\d+\.\d+", pin) for pin in pins), pins
    assert not any("latest" in line for line in lines)
    assert sum(line.startswith("FROM") for line in lines) > 1, "one stage only"
    users = [line for line in lines if line.startswith("USER")]
    assert users[-1] == "USER 10001:10001"
    assert any("HOME=/tmp" in line for line in lines), "a user of the platform's has no home"
    assert any(line.startswith("HEALTHCHECK --interval") for line in lines)
    assert any("cyclonedx-py environment" in line for line in lines), "no SBOM"
    installs = [part for line in lines for part in line.split("&&") if "pip" in part]
    unpinned = [part for part in installs if " install" in part and "==" not in part]
    assert all("-c " in part for part in unpinned), "installed without the constraints"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_what_is_copied_is_there_and_not_ignored(dockerfile: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    assert {name.partition(".")[0] for name in packages} <= kept | MODEL_PACKAGES
    for line in instructions(dockerfile):
        words = line.split()
        if words[0] != "COPY" or words[1].startswith("--from") or words[1] == ".":
            continue
        for source in words[1:-1]:
            assert (ROOT / source).exists(), f"{source} is missing"
            parents = {str(parent) for parent in (Path(source), *Path(source).parents)}
            assert parents & kept, f"{source} is left out by .dockerignore"


def test_every_package_is_in_what_the_gateway_image_copies(tmp_path: Path) -> None:
    lines = instructions(ROOT / "deploy" / "gateway" / "Dockerfile")
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--" not in line]
    for source in (source for words in copies for source in words):
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".versions", "[0-9]*")
            shutil.copytree(ROOT / source, tmp_path / source, ignore=ignored)
        else:
            shutil.copy(ROOT / source, tmp_path / source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", tmp_path, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        carried = set(wheel.namelist())
    modules = {
        str(path.relative_to(ROOT))
        for package in ("gateway", "preprocessing", "export_scripts", "retouch_client")
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= carried, "a package that pyproject.toml does not name"
    assert "gateway/playground/static/index.html" in carried
    assert any(name.startswith("export_scripts/demo/") for name in carried)


def test_the_gateway_image_brings_no_torch() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    heavy = ("torch", "diffusers", "transformers", "onnxruntime", "ultralytics")
    assert not [line for line in dependencies if line.startswith(heavy)]
    assert "import torch" in (ROOT / "deploy" / "gateway" / "Dockerfile").read_text()


def test_what_has_ultralytics_has_the_opencv_without_windows() -> None:
    """ultralytics installs an `opencv-python` whose cv2 fails where libGL.so.1 is missing."""
    export = (ROOT / "deploy" / "triton" / "Dockerfile").read_text().partition("AS export")[2]
    _, installed, after = export.partition("'/opt/retouch[export]'")
    assert installed
    assert "--force-reinstall --no-deps opencv-python-headless" in after
    recipes = re.findall(r"(?m)^\t\$\(BIN\)/pip install .*\[export.*\n(.*)", MAKEFILE)
    assert recipes == ["\t$(WITHOUT_WINDOWS)"] * 2
