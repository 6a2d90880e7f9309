"""`retouch-export fastsam` and `retouch-export clip`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export_scripts.command_errors import told

Repository = Annotated[
    Path, typer.Option(help="Triton's model repository.", envvar="RETOUCH_MODEL_REPOSITORY")
]
Triton = Annotated[
    str | None, typer.Option(help="host:port of the gRPC of a running Triton that loads it now.")
]
DEFAULT_REPOSITORY = Path(__file__).resolve().parents[1] / "model_repository"


def fastsam(
    weights: Annotated[
        str, typer.Option(help="A .pt file, or FastSAM-s.pt or FastSAM-x.pt to download.")
    ],
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    imgsz: Annotated[int, typer.Option(help="Longer side the network sees, in pixels.")] = 640,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of pictures: int8 is calibrated on them.")
    ] = None,
    triton: Triton = None,
) -> None:
    """Add a FastSAM checkpoint as a new version, compared with torch on the way."""
    from export_scripts.fastsam_export import MODEL, export_fastsam
    from export_scripts.fastsam_report import as_table

    with told():
        exported = export_fastsam(
            weights, repository, image_size=imgsz, precision=precision, pictures=pictures
        )
        _console_print(as_table(exported))
        _load(triton, MODEL)
    typer.echo(f"{weights} is version {exported.version} of {MODEL} in {repository}")


def clip(
    source: Annotated[str, typer.Option(help="Folder of a CLIP checkpoint, or its hub id.")],
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    triton: Triton = None,
) -> None:
    """Add a CLIP text and image model, which text prompts for masks need."""
    from export_scripts.clip_export import IMAGE_MODEL, TEXT_MODEL, export_clip

    with told():
        differences = export_clip(source, repository)
        _load(triton, TEXT_MODEL, IMAGE_MODEL)
    for name, difference in differences.items():
        typer.echo(f"{name}: largest difference to torch {difference:.1e}")
    typer.echo(f"{source} is {TEXT_MODEL} and {IMAGE_MODEL} in {repository}")


def _load(triton: str | None, *models: str) -> None:
    if triton is None:
        return
    from export_scripts.triton_control import TritonControl

    control = TritonControl(triton)
    try:
        for model in models:
            control.load(model)
    finally:
        control.close()


def _console_print(what: object) -> None:
    from rich.console import Console

    Console().print(what)
