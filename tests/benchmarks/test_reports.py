"""The arithmetic and the tables of the benchmarks; nothing is timed here."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gateway_overhead, qwen_batching, step_batching
from benchmarks.reporting.figures import (
    Spread,
    mean_batch,
    percentile,
    ratios,
    share_of_serial,
    spread,
)
from benchmarks.reporting.machine import processor_s
from benchmarks.reporting.options import positive
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.wide_repository import set_queue_delay

CHECKOUT = Path(__file__).resolve().parents[2]


def clicks(variant: str, round_: int, p50_ms: float) -> gateway_overhead.RoundFigures:
    return gateway_overhead.RoundFigures(
        variant=variant,
        concurrency=1,
        round=round_,
        p50_ms=p50_ms,
        p99_ms=2 * p50_ms,
        requests_per_s=1000 / p50_ms,
        gateway_cpu_ms=3,
        triton_cpu_ms=5,
        client_cpu_ms=1,
    )


def batch(jobs: int, round_: int, wall_s: float, executions: int) -> step_batching.RoundFigures:
    return step_batching.RoundFigures(
        jobs=jobs,
        round=round_,
        wall_s=wall_s,
        inferences=20 * jobs,
        executions=executions,
        triton_cpu_s=jobs * 1.5,
    )


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 99, 7),
        ([3, 1, 2], 50, 2),
        ([4, 3, 2, 1], 50, 2),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 102)), 99, 100),
        ([5, 6], 0, 5),
        ([5, 6], 100, 6),
    ],
)
def test_percentile_is_the_nearest_rank(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_spread_is_median_and_extremes() -> None:
    assert spread([4.0, 1.0, 2.0]) == Spread(2.0, 1.0, 4.0)
    assert spread([1.0, 2.0]).median == 1.5
    assert Spread(1.0, 0.125, 2.0).show() == "1.00 (0.12 to 2.00)"


def test_ratios_stay_within_their_round() -> None:
    """A slow round slows both sides: the ratio of medians would say 1.5 here."""
    assert ratios([2.0, 30.0, 6.0], [1.0, 20.0, 4.0]) == Spread(1.5, 1.5, 2.0)


def test_a_missing_round_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


def test_share_of_serial() -> None:
    assert share_of_serial([4.0], [1.0], 8) == Spread(0.5, 0.5, 0.5)


def test_mean_batch() -> None:
    assert mean_batch(40, 16) == 2.5
    assert mean_batch(0, 0) == 0


def test_markdown_table_lines_up() -> None:
    lines = markdown_table(["variant", "ms"], [["a", "1.00"], ["a longer one", "2"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].endswith(":|")
    assert lines[3] == "| a longer one |    2 |"


def test_publish_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish("# Title", {"rounds": [1]}, tmp_path / "new" / "report.md")
    assert (tmp_path / "new" / "report.md").read_text() == "# Title\n"
    assert (tmp_path / "new" / "report.json").read_text() == '{\n "rounds": [\n  1\n ]\n}\n'
    assert capsys.readouterr().out == "# Title\n"


def test_gateway_rows_compare_with_the_direct_client() -> None:
    direct, first = gateway_overhead.DIRECT, "gateway, new picture"
    figures = [clicks(direct, 0, 10), clicks(direct, 1, 20)]
    figures += [clicks(first, 0, 20), clicks(first, 1, 20)]
    row = gateway_overhead.table_row(figures, first, 1)
    assert row[:4] == [first, "20.0", "40.0", "1.50 (1.00 to 2.00)"]
    assert row[4:6] == ["50.0", "0.75 (0.50 to 1.00)"]
    assert row[6:] == ["3.0", "5.0", "1.0"]


def test_batching_rows_compare_with_single_jobs_of_the_round() -> None:
    """Rounds come in any order, since the order of the variants rotates."""
    figures = [batch(1, 1, 2.0, 20), batch(4, 0, 2.0, 40), batch(1, 0, 1.0, 20)]
    figures.append(batch(4, 1, 2.0, 20))
    row = step_batching.table_row(figures, 4)
    assert row[:4] == ["4", "2.00", "2.00", "0.38 (0.25 to 0.50)"]
    assert row[4:] == ["80", "30", "3.00", "1.50"]


def edits(variant: str, jobs: int, wall_s: float, **figures: float) -> qwen_batching.RoundFigures:
    fixed = {"delay_ms": 2.0, "round": 0, "inferences": 10 * jobs, "executions": 10, "busy_s": 1.5}
    return qwen_batching.RoundFigures(
        variant=variant, jobs=jobs, wall_s=wall_s, **(fixed | figures)
    )


EDITS = [
    edits(qwen_batching.IN_PROCESS, 1, 1.0),
    edits(qwen_batching.ONE, 1, 1.1),
    edits(qwen_batching.TWO, 2, 1.5),
    edits(qwen_batching.SERIAL, 8, 9.0),
    edits(qwen_batching.TOGETHER, 8, 3.0),
    edits(qwen_batching.EXACT, 8, 6.0),
]


def test_edits_at_once_are_compared_with_the_same_in_a_row() -> None:
    assert qwen_batching.comparison(EDITS) == (
        "Served / in process, 1 job: 1.10 (1.10 to 1.10). "
        "At once / one after the other, throughput: 3.00 (3.00 to 3.00). "
        "Cost of exact, time at once / without: 2.00 (2.00 to 2.00)."
    )
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in qwen_batching.table(EDITS, steps=10).splitlines()
    ]
    assert rows[2] == [qwen_batching.IN_PROCESS, "1", "1.00", "1.00", "100", "", ""]
    together = next(row for row in rows if row[0] == qwen_batching.TOGETHER)
    assert together[1:] == ["8", "3.00", "2.67", "38", "8.00", "0.50 (0.50 to 0.50)"]


def test_queue_delays_have_a_row_each() -> None:
    swept = (qwen_batching.ONE, qwen_batching.TWO, qwen_batching.TOGETHER)
    other = [edits(variant, 2, 0.5, delay_ms=40, executions=20) for variant in swept]
    lines = qwen_batching.delay_table([*EDITS, *other], [2, 40]).splitlines()
    assert lines[-1].startswith("| 40 ")
    assert lines[-1].count("0.50 (0.50 to 0.50)") == 3


def test_a_queue_delay_is_written_into_the_config(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    config = tmp_path / "stage" / "config.pbtxt"
    config.write_text("dynamic_batching { max_queue_delay_microseconds: 2000 }")
    set_queue_delay(tmp_path, "stage", 1.5)
    assert config.read_text() == "dynamic_batching { max_queue_delay_microseconds: 1500 }"
    config.write_text("no batching")
    with pytest.raises(ValueError, match="has no max_queue_delay_microseconds"):
        set_queue_delay(tmp_path, "stage", 1)


def test_processor_time_of_ended_processes_is_nothing() -> None:
    assert processor_s([2**22 + 1]) == 0


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5"])
def test_options_are_whole_numbers_from_1(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        positive(text)


@pytest.mark.parametrize(
    "name",
    ["gateway_overhead", "step_batching", "qwen_batching", "preview_cost", "edit_requests"],
)
def test_help(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "--rounds" in done.stdout
    assert "--output" in done.stdout


def test_the_gpu_benchmark_runs_as_far_as_a_processor_can() -> None:
    """One layer at a small side, not compiled: the network, the floor and the table."""
    options = ["--device", "cpu", "--layers", "1", "--sides", "64", "--rounds", "1"]
    command = [sys.executable, "-m", "benchmarks.gpu_qwen", *options, "--no-compile"]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=True
    )
    *_, row = done.stdout.splitlines()
    assert row.startswith("| 64 | bf16 | no | ")
