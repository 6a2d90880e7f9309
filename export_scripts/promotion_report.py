"""`retouch-export promote`, `rollback` and `versions`: what they do, told on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from export_scripts.export_errors import ExportError
from export_scripts.promotion import Promoter, Promotion, record_verification
from export_scripts.qwen_models import MODELS, STAGES
from export_scripts.triton_control import TritonControl
from export_scripts.version_store import VersionStore


def promote_and_tell(
    repository: Path,
    url: str,
    model: str,
    version: int | None,
    *,
    device: str,
    drain_timeout_s: float,
) -> Promotion:
    """Verify and promote a version; print the verification and what was done.

    Raises:
        ExportError: the version cannot be served, or misses its tolerance.
    """

    def verify(model: str, version: int, name: str) -> None:
        from export_scripts.verify import verify as run
        from export_scripts.verify_report import as_records, as_table

        verdicts = list(run(url, repository, model, version, served_as=name, device=device))
        Console().print(as_table(verdicts))
        off = [verdict.case.name for verdict in verdicts if not verdict.passed]
        if off:
            raise ExportError(
                f"{model} version {version} misses its tolerance ({', '.join(off)}); "
                "what was served before is served still."
            )
        record_verification(repository, model, version, as_records(verdicts))

    with _promoter(repository, url, drain_timeout_s) as promoter:
        promotion = promoter.promote(model, version, verify)
    _tell(promotion)
    return promotion


def roll_back_and_tell(
    repository: Path, url: str, model: str, *, drain_timeout_s: float
) -> Promotion:
    """Go back to what was served before; print what was done."""
    with _promoter(repository, url, drain_timeout_s) as promoter:
        promotion = promoter.roll_back(model)
    _tell(promotion)
    return promotion


def versions_table(repository: Path) -> Table:
    """One row per version of every Qwen model."""
    store = VersionStore(repository)
    table = Table("model", "version", "state", "GB", "what")
    for name in (*MODELS, *STAGES):
        served = store.served(name)
        for version in sorted({*served, *store.stored(name)}):
            folder = store.folder(name, version)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            state = "served" if version in served else "stored"
            what = store.describe(name, version)
            table.add_row(name, str(version), state, f"{size / 1e9:.2f}", what)
    return table


@contextmanager
def _promoter(repository: Path, url: str, drain_timeout_s: float) -> Iterator[Promoter]:
    triton = TritonControl(url)
    try:
        yield Promoter(repository, triton, drain_timeout_s=drain_timeout_s)
    finally:
        triton.close()


def _tell(promotion: Promotion) -> None:
    print(
        f"{promotion.model} version {promotion.version} is served; "
        f"it took over in {promotion.swap_s:.1f} s"
    )
    if not promotion.drained:
        print("jobs of the version before still run; its stages stay loaded until the next run")
