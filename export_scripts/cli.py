"""`retouch-export`: weights into a model repository that Triton serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
def readme(repository: Repository = DEFAULT_REPOSITORY) -> None:
    """Write the repository's README from its configs."""
    from export_scripts.repository_readme import render

    (repository / "README.md").write_text(render(repository))


if __name__ == "__main__":
    app()
