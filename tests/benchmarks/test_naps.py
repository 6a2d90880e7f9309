"""What the tables of stalls are made from."""

from __future__ import annotations

import asyncio
import time

from benchmarks.workloads.naps import LATENESS_HEADERS, Naps, lateness_rows, neighbour


async def test_a_loop_that_is_kept_wakes_as_late() -> None:
    naps, kept = Naps(), asyncio.Event()
    napping = asyncio.create_task(naps.go_on(kept.is_set))
    await asyncio.sleep(0.01)
    time.sleep(0.05)  # noqa: ASYNC251
    kept.set()
    await napping
    assert max(naps.late_ms) > 40
    assert len(naps.late_ms) == len(naps.queued_ms) == len(naps.busy_ms)


async def test_work_of_the_loop_itself_is_told_apart() -> None:
    naps, done = Naps(), asyncio.Event()
    napping = asyncio.create_task(naps.go_on(done.is_set))
    await asyncio.sleep(0.01)
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    done.set()
    await napping
    assert max(naps.busy_ms) > 45


def test_a_process_beside_naps_until_it_is_asked() -> None:
    with neighbour() as beside:
        first = beside.taken()
        time.sleep(0.2)
        second = beside.taken()
    assert 1 <= len(second.late_ms) < 201
    assert len(second.late_ms) == len(second.busy_ms)
    assert min(*first.late_ms, *second.late_ms, 0) == 0


def test_what_was_taken_is_not_told_again() -> None:
    naps = Naps([1.0], [0.5], [0.2])
    assert naps.taken() == Naps([1.0], [0.5], [0.2])
    assert naps.taken() == Naps()


def test_rows_have_a_cell_for_each_header() -> None:
    naps = Naps([1.0, 2.0], [0.0, 1.0], [0.1, 0.2])
    rows = lateness_rows("idle", naps, Naps([3.0]))
    assert {len(row) for row in rows} == {len(LATENESS_HEADERS)}
    assert rows[0] == ["event loop, idle", "1.00", "2.00", "2.00", "2.00", "2"]
    assert rows[-1][0] == "a process that does nothing else, idle"
    assert rows[-1][1:] == ["3.00", "3.00", "3.00", "3.00", "1"]
