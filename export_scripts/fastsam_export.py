"""A FastSAM checkpoint becomes a version of `fastsam` in a model repository."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export_scripts.demo_scenes import draw_scene
from export_scripts.export_errors import ExportError
from export_scripts.fastsam_comparison import (
    Agreement,
    TorchDifference,
    compare_precisions,
    compare_with_torch,
)
from export_scripts.fastsam_graph import describe, export_onnx, load_network
from export_scripts.fastsam_precision import MAX_CALIBRATION_PICTURES, to_fp16, to_int8
from preprocessing.codec import decode_image
from preprocessing.errors import RejectedError

PRECISIONS = ("fp32", "fp16", "int8")
DOWNLOADS = ("FastSAM-s.pt", "FastSAM-x.pt")
LICENCE = "AGPL-3.0"
MODEL = "fastsam"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class FastSamExport:
    """What an export did."""

    version: int
    precision: str
    image_size: int
    graph_bytes: int
    torch_difference: TorchDifference
    agreement: Agreement | None
    """Of a lower precision with float32."""


def export_fastsam(
    weights: str,
    repository: Path,
    *,
    image_size: int = 640,
    precision: str = "fp32",
    pictures: Path | None = None,
) -> FastSamExport:
    """Export, compare with torch, and add the graph as the newest version.

    Args:
        weights: a `.pt` file, or a name of `DOWNLOADS`, which ultralytics fetches.
        repository: Triton's model repository; Triton serves the newest version when it loads.
        image_size: longer side that pictures are letterboxed to, a multiple of 32 from 160 on.
        precision: one of `PRECISIONS`.
        pictures: folder that int8 is calibrated on; lower precisions are compared on it too.

    Raises:
        ExportError: an argument does not fit, or the graph is not the network.
    """
    _check(repository, image_size, precision, pictures)
    source = _find(weights)
    draft = _draft(repository)
    try:
        served = export_onnx(
            load_network(source), draft / "fp32.onnx", image_size=image_size, licence=LICENCE
        )
        difference = compare_with_torch(draft / "fp32.onnx", served, image_size)
        samples = _pictures(pictures, image_size)
        agreement = _lower(draft, precision, samples, image_size)
        graph = draft / "model.onnx"
        exported = FastSamExport(
            version=_next_version(repository),
            precision=precision,
            image_size=image_size,
            graph_bytes=graph.stat().st_size,
            torch_difference=difference,
            agreement=agreement,
        )
        _record(draft, source, exported)
        _install(draft, repository, exported.version)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return exported


def _check(repository: Path, image_size: int, precision: str, pictures: Path | None) -> None:
    if not (repository / MODEL / "config.pbtxt").exists():
        raise ExportError(
            f"{repository} is no model repository: it has no {MODEL}/config.pbtxt. "
            f"Make one with: retouch-export init {repository}"
        )
    if image_size < 160 or image_size % 32:
        raise ExportError(f"--imgsz must be a multiple of 32 from 160 on; it is {image_size}.")
    if precision not in PRECISIONS:
        raise ExportError(
            f"There is no precision {precision!r}; there are {', '.join(PRECISIONS)}."
        )
    if precision == "int8" and pictures is None:
        raise ExportError(
            "int8 is calibrated on pictures: give --pictures a folder with at least 1, better "
            f"{MAX_CALIBRATION_PICTURES}, like those that will be served."
        )


def _find(weights: str) -> Path:
    path = Path(weights)
    if path.exists():
        return path
    if weights not in DOWNLOADS:
        raise ExportError(
            f"There is no file {weights}; ultralytics has {' and '.join(DOWNLOADS)} to download."
        )
    from ultralytics.utils.downloads import attempt_download_asset

    try:
        found = Path(attempt_download_asset(weights))
    except Exception as error:
        raise ExportError(f"{weights} cannot be downloaded: {error}") from error
    if not found.exists():
        raise ExportError(f"{weights} cannot be downloaded; fetch it and give its path.")
    return found


def _pictures(folder: Path | None, image_size: int) -> list[Picture]:
    """Those of the folder, or synthetic scenes."""
    if folder is None:
        return [draw_scene(seed, image_size).image for seed in range(8)]
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise ExportError(f"{folder} holds no picture.")
    try:
        return [decode_image(path.read_bytes()).pixels for path in files[:MAX_CALIBRATION_PICTURES]]
    except RejectedError as error:
        raise ExportError(f"{folder} holds a picture that cannot be read: {error}") from error


def _lower(
    draft: Path, precision: str, samples: Sequence[Picture], image_size: int
) -> Agreement | None:
    """Make `model.onnx` of `fp32.onnx`."""
    exact, graph = draft / "fp32.onnx", draft / "model.onnx"
    if precision == "fp32":
        exact.rename(graph)
        return None
    if precision == "fp16":
        to_fp16(exact, graph)
    else:
        to_int8(exact, graph, samples, image_size=image_size)
    describe(graph, {"license": LICENCE, "image_size": str(image_size), "precision": precision})
    agreement = compare_precisions(exact, graph, samples[:16], image_size)
    exact.unlink()
    return agreement


def _draft(repository: Path) -> Path:
    draft = repository / ".versions" / MODEL / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def _next_version(repository: Path) -> int:
    graphs = (repository / MODEL).glob("[0-9]*/model.onnx")
    return max((int(path.parent.name) for path in graphs), default=0) + 1


def _record(draft: Path, source: Path, exported: FastSamExport) -> None:
    record = {
        "source": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "licence": LICENCE,
        **asdict(exported),
    }
    (draft / "export.json").write_text(json.dumps(record, indent=1) + "\n")


def _install(draft: Path, repository: Path, version: int) -> None:
    """Into place at once: Triton may look at any moment."""
    entry_point = Path(__file__).resolve().parents[1] / "model_repository" / MODEL / "1/model.py"
    shutil.copy(entry_point, draft)
    target = repository / MODEL / str(version)
    if not target.exists():
        draft.rename(target)
        return
    for name in ("model.py", "export.json", "model.onnx"):
        (draft / name).replace(target / name)
