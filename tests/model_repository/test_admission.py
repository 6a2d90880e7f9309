"""Which jobs may run beside each other, and what a machine says of its memory."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from qwen_serving.admission import Admission, Memory, Verdict, main_memory


class Device:
    """A device of 1000 bytes, of which a test says what is free."""

    def __init__(self, free: int = 1000) -> None:
        self.free = free
        self.admission = Admission(lambda: Memory(self.free, 1000))


def test_a_job_that_fits_starts_now() -> None:
    assert Device().admission.verdict(1000) is Verdict.NOW


def test_a_job_that_never_fits_is_told_so_though_others_run() -> None:
    device = Device()
    device.admission.admit(600)
    assert device.admission.verdict(1001) is Verdict.NEVER


def test_a_job_that_fits_alone_waits_for_those_that_run() -> None:
    device = Device()
    device.admission.admit(600)
    assert device.admission.verdict(401) is Verdict.LATER
    device.admission.release(600)
    assert device.admission.verdict(401) is Verdict.NOW


def test_what_running_jobs_hold_is_counted_once() -> None:
    device = Device()
    assert device.admission.verdict(600) is Verdict.NOW
    device.admission.admit(600)
    device.free = 400  # the job holds all it may
    assert device.admission.verdict(400) is Verdict.NOW
    assert device.admission.verdict(401) is Verdict.LATER


def test_what_stages_keep_of_earlier_jobs_can_be_used_again() -> None:
    device = Device()
    assert device.admission.verdict(600) is Verdict.NOW
    device.admission.admit(600)
    device.free = 500
    device.admission.release(600)
    assert device.admission.verdict(1000) is Verdict.NOW


def test_what_others_took_is_not_ours() -> None:
    device = Device()
    assert device.admission.verdict(100) is Verdict.NOW
    device.admission.admit(100)
    device.admission.release(100)
    device.free = 200
    assert device.admission.memory() == Memory(300, 1000)
    assert device.admission.verdict(301) is Verdict.NEVER


@given(st.integers(1, 10**6), st.lists(st.integers(0, 10**6), max_size=30))
def test_admitted_jobs_never_need_more_than_there_is(free: int, needs: list[int]) -> None:
    admission = Admission(lambda: Memory(free, free))
    running: list[int] = []
    for need in needs:
        verdict = admission.verdict(need)
        assert (verdict is Verdict.NEVER) == (need > free)
        if verdict is Verdict.LATER:
            assert running, "with none at work, a job that can fit does"
            admission.release(running.pop(0))
        elif verdict is Verdict.NOW:
            admission.admit(need)
            running.append(need)
        assert sum(running) <= free


def meminfo(folder: Path) -> Path:
    path = folder / "meminfo"
    path.write_text("MemTotal:       1000 kB\nMemFree:  10 kB\nMemAvailable:    600 kB\n")
    return path


def test_a_machine_without_a_limit_has_what_the_kernel_says(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    assert main_memory(meminfo(tmp_path), tmp_path) == Memory(600 * 1024, 1000 * 1024)
    assert main_memory(meminfo(tmp_path), tmp_path / "none") == Memory(600 * 1024, 1000 * 1024)


def test_a_control_groups_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("300000\n")
    (tmp_path / "memory.current").write_text("250000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 20000\n")
    assert main_memory(meminfo(tmp_path), tmp_path) == Memory(70000, 300000)


def test_an_older_control_group_counts_too(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("300000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("290000\n")
    assert main_memory(meminfo(tmp_path), tmp_path) == Memory(10000, 300000)


def test_this_machine_has_memory() -> None:
    memory = main_memory()
    assert 0 < memory.free <= memory.total
