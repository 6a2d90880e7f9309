"""`retouch-export`: weights into a model repository that Triton serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from export_scripts.export_errors import ExportError

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
Repository = Annotated[
    Path, typer.Option(help="Triton's model repository.", envvar="RETOUCH_MODEL_REPOSITORY")
]
DEFAULT_REPOSITORY = Path(__file__).resolve().parents[1] / "model_repository"


@app.callback()
def main() -> None:
    """Turn weights into a model repository that Triton serves."""


@app.command()
def demo(
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    if_absent: Annotated[bool, typer.Option(help="Leave models that are there alone.")] = False,
) -> None:
    """Install the demo models: a trained small segmenter and random tiny generators."""
    from export_scripts.demo import install_demo_generators, install_demo_segmenter, is_installed

    if if_absent and is_installed(repository):
        typer.echo(f"models are in {repository}")
        return
    install_demo_segmenter(repository)
    install_demo_generators(repository)
    typer.echo(f"demo models written to {repository}")


@app.command()
def qwen(  # noqa: PLR0913
    source: Annotated[str, typer.Option(help="Folder of a checkpoint, or a hub id owner/name.")],
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    model: Annotated[
        str | None, typer.Option(help="qwen_image or qwen_image_edit; told by the checkpoint.")
    ] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE.safetensors; may be given several times.")
    ] = None,
    preset: Annotated[str, typer.Option(help="quality, lightning-8 or lightning-4.")] = "quality",
    vae_graphs: Annotated[
        bool, typer.Option(help="VAE through ONNX Runtime: for machines without a GPU.")
    ] = False,
    size: Annotated[int, typer.Option(help="Default side of pictures in pixels.")] = 1024,
    reference_size: Annotated[int, typer.Option(help="Side of an edit's references.")] = 1024,
) -> None:
    """Install a Qwen-Image or Qwen-Image-Edit checkpoint with its adapters."""
    from export_scripts.checkpoint import find_checkpoint
    from export_scripts.qwen_export import MODELS, PRESETS, export_qwen

    with _told():
        manifest = export_qwen(
            find_checkpoint(source, revision),
            repository,
            model=_one_of(MODELS, model, "model") if model else None,
            adapters=_pairs(adapter or []),
            preset=_one_of({name: name for name in PRESETS}, preset, "preset"),
            vae_graphs=vae_graphs,
            default_side=size,
            reference_side=reference_size,
        )
    where = f"{manifest['source']} at {manifest['revision'] or 'no revision'}"
    typer.echo(f"{where} written to {repository}; verify it with retouch-export verify")


@app.command()
def verify(
    triton: Annotated[str, typer.Option(help="host:port of the gRPC of the serving Triton.")],
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    model: Annotated[list[str] | None, typer.Option(help="Pipeline model; default all.")] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps of a case.")] = 6,
    device: Annotated[str, typer.Option(help="Where plain diffusers runs.")] = "cpu",
    tolerance: Annotated[int | None, typer.Option(help="Grey levels; by precision.")] = None,
) -> None:
    """Compare what is served with plain diffusers; fails when a picture is off."""
    from rich.console import Console

    from export_scripts.verify import verify as run
    from export_scripts.verify_report import as_table

    models = model or ["qwen_image", "qwen_image_edit"]
    with _told():
        verdicts = list(
            run(triton, repository, models, steps=steps, device=device, tolerance=tolerance)
        )
    Console().print(as_table(verdicts))
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


@contextmanager
def _told() -> Iterator[None]:
    """An `ExportError` ends the command with its sentence."""
    try:
        yield
    except ExportError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _pairs(options: list[str]) -> dict[str, Path]:
    pairs = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not equals:
            raise ExportError(f"--adapter takes NAME=FILE, not {option!r}.")
        pairs[name] = Path(path)
    return pairs


def _one_of(known: Mapping[str, T], name: str, what: str) -> T:
    if name not in known:
        raise ExportError(f"There is no {what} {name!r}; there are {', '.join(known)}.")
    return known[name]


@app.command()
def readme(repository: Repository = DEFAULT_REPOSITORY) -> None:
    """Write the repository's README from its configs."""
    from export_scripts.repository_readme import render

    (repository / "README.md").write_text(render(repository))


if __name__ == "__main__":
    app()
