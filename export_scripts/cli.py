"""`retouch-export`: weights into a model repository that Triton serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from export_scripts import mask_commands
from export_scripts.command_errors import told
from export_scripts.export_errors import ExportError

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
Repository = Annotated[
    Path, typer.Option(help="Triton's model repository.", envvar="RETOUCH_MODEL_REPOSITORY")
]
Triton = Annotated[str, typer.Option(help="host:port of the gRPC of the serving Triton.")]
Model = Annotated[str, typer.Option(help="qwen_image or qwen_image_edit.")]
Device = Annotated[str, typer.Option(help="Where plain diffusers runs: cpu or cuda.")]
Drain = Annotated[float, typer.Option(help="Seconds that jobs of the old version may take.")]
DEFAULT_REPOSITORY = Path(__file__).resolve().parents[1] / "model_repository"


app.command()(mask_commands.fastsam)
app.command()(mask_commands.clip)


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
def init(repository: Annotated[Path, typer.Argument(help="Folder to make.")]) -> None:
    """Make a model repository of one's own, without weights."""
    from export_scripts.repository_skeleton import create_repository

    with told():
        create_repository(repository)
    typer.echo(f"{repository} is ready for exports; serve it with RETOUCH_MODEL_REPOSITORY")


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
    distilled: Annotated[
        Path | None, typer.Option(help="Step-distilled LoRA; use with a lightning preset.")
    ] = None,
    preset: Annotated[str, typer.Option(help="quality, lightning-8 or lightning-4.")] = "quality",
    precision: Annotated[
        str, typer.Option(help="auto (bf16 on a GPU, else fp32), bf16, fp16, fp32, fp8 or int8.")
    ] = "auto",
    onnx: Annotated[
        list[str] | None,
        typer.Option(help="Part for ONNX Runtime: vae, text_encoder or transformer."),
    ] = None,
    compile: Annotated[bool, typer.Option(help="torch.compile for the transformer.")] = False,
    warm_up: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT that stages run once at load.")
    ] = None,
    tolerance: Annotated[
        int | None, typer.Option(help="Grey levels that verification accepts; by precision.")
    ] = None,
    size: Annotated[int, typer.Option(help="Default side of pictures in pixels.")] = 1024,
    reference_size: Annotated[int, typer.Option(help="Side of an edit's references.")] = 1024,
) -> None:
    """Add a Qwen-Image or Qwen-Image-Edit checkpoint with its adapters as a new version."""
    from export_scripts.checkpoint import find_checkpoint
    from export_scripts.qwen_export import PRESETS, export_qwen
    from export_scripts.qwen_models import MODELS, PRECISIONS, StageOptions

    with told():
        options = StageOptions(
            precision=_one_of({name: name for name in PRECISIONS}, precision, "precision"),
            onnx=_parts(onnx or []),
            compile=compile,
            warm_up=tuple(_size(text) for text in warm_up or []),
        )
        name, version = export_qwen(
            find_checkpoint(source, revision),
            repository,
            model=_one_of({name: name for name in MODELS}, model, "model") if model else None,
            adapters=_pairs(adapter or []),
            distilled=distilled,
            preset=_one_of({name: name for name in PRESETS}, preset, "preset"),
            options=options,
            tolerance=tolerance,
            default_side=size,
            reference_side=reference_size,
        )
    typer.echo(
        f"{source} is version {version} of {name} in {repository}; serve it with\n"
        f"retouch-export promote --model {name} --triton HOST:PORT"
    )


@app.command()
def verify(
    triton: Triton,
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    model: Annotated[list[str] | None, typer.Option(help="Pipeline model; default all.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps of a case.")] = None,
    device: Device = "cpu",
    tolerance: Annotated[int | None, typer.Option(help="Grey levels; by precision.")] = None,
) -> None:
    """Compare what is served with plain diffusers; fails when a picture is off."""
    from rich.console import Console

    from export_scripts.verify import verify as run
    from export_scripts.verify_report import as_table

    with told():
        verdicts = [
            verdict
            for name in model or ["qwen_image", "qwen_image_edit"]
            for verdict in run(
                triton, repository, name, steps=steps, device=device, tolerance=tolerance
            )
        ]
    Console().print(as_table(verdicts))
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


@app.command()
def promote(
    model: Model,
    triton: Triton,
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    version: Annotated[int | None, typer.Option(help="Default: the newest.")] = None,
    device: Device = "cpu",
    drain: Drain = 600.0,
) -> None:
    """Verify a version beside the one that serves, then let it take over; no job is lost."""
    from export_scripts.promotion_report import promote_and_tell

    with told():
        promote_and_tell(repository, triton, model, version, device=device, drain_timeout_s=drain)


@app.command()
def rollback(
    model: Model,
    triton: Triton,
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    drain: Drain = 600.0,
) -> None:
    """Serve again what was served before the last promotion; no job is lost."""
    from export_scripts.promotion_report import roll_back_and_tell

    with told():
        roll_back_and_tell(repository, triton, model, drain_timeout_s=drain)


@app.command()
def versions(repository: Repository = DEFAULT_REPOSITORY) -> None:
    """List all versions: where they come from, their size, and which are served."""
    from rich.console import Console

    from export_scripts.promotion_report import versions_table

    Console().print(versions_table(repository))


@app.command()
def prune(
    repository: Repository = DEFAULT_REPOSITORY,
    *,
    keep: Annotated[int, typer.Option(min=0, help="Unserved versions to keep per model.")] = 1,
) -> None:
    """Delete versions that are not served, and the weights that only they use."""
    from export_scripts.promotion import prune as run

    gone = run(repository, keep=keep)
    typer.echo("\n".join(f"deleted {name} {version}" for name, version in gone) or "nothing to do")


def _pairs(options: list[str]) -> dict[str, Path]:
    pairs = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not equals:
            raise ExportError(f"--adapter takes NAME=FILE, not {option!r}.")
        pairs[name] = Path(path)
    return pairs


def _parts(options: list[str]) -> frozenset[str]:
    parts = {
        "vae": ("vae_encoder", "vae_decoder"),
        "text_encoder": ("text_encoder",),
        "transformer": ("transformer",),
    }
    return frozenset(part for name in options for part in _one_of(parts, name, "ONNX part"))


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) % 16 == int(height) % 16 == 0):
        raise ExportError(f"--warm-up takes WIDTHxHEIGHT in multiples of 16, not {text!r}.")
    return int(width), int(height)


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
