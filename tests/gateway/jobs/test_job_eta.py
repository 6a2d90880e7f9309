"""How forecasts follow from what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.jobs.job_eta import Eta, LiveJob, Observation, Workload, forecast

CAT = Workload("generate", 64 * 64, 4, 1, guided=False)


def seen(*seconds: float, load: Workload = CAT, beside: int = 0) -> list[Observation]:
    return [Observation(load, beside, s) for s in seconds]


def foretold(
    line: list[LiveJob], observed: list[Observation], *, places: int = 1
) -> dict[str, Eta]:
    return forecast(line, observed, places=places, rng=np.random.default_rng(0))


def waiting(number: int, load: Workload = CAT) -> list[LiveJob]:
    return [LiveJob(f"w{i}", load) for i in range(number)]


def test_a_request_is_a_workload() -> None:
    request = {"width": 64, "height": 32, "num_inference_steps": 10, "strength": 0.5, "n": 2}
    load = Workload.of("inpaint", request | {"true_cfg_scale": 4.0})
    assert load == Workload("inpaint", 2048, 5.0, 2, guided=True)
    assert load.work == 2048 * 5 * 2 * 2
    assert Workload.of("generate", {}).work == 1


def test_a_job_after_others_waits_for_them() -> None:
    etas = foretold(waiting(3), seen(*[2.0] * 10))
    assert [etas[f"w{i}"].p50_s for i in range(3)] == pytest.approx([2, 4, 6])


def test_two_places_halve_the_wait() -> None:
    etas = foretold(waiting(4), seen(*[2.0] * 10, beside=1), places=2)
    assert [etas[f"w{i}"].p50_s for i in range(4)] == pytest.approx([2, 2, 4, 4])


def test_those_at_work_come_first() -> None:
    line = [LiveJob("r", CAT, elapsed_s=1.5, step=15, total_steps=19), *waiting(1)]
    etas = foretold(line, seen(*[2.0] * 10))
    assert etas["r"].p50_s == pytest.approx(0.45, rel=0.1)
    assert etas["w0"].p50_s == pytest.approx(2.45, rel=0.1)


def test_a_slow_job_is_judged_by_its_own_pace() -> None:
    line = [LiveJob("r", CAT, elapsed_s=9.0, step=90, total_steps=99)]
    assert foretold(line, seen(*[2.0] * 10))["r"].p50_s == pytest.approx(0.1 * (9 + 0.2), rel=0.1)


def test_a_job_that_outlasted_all_others_may_take_as_long_again() -> None:
    eta = foretold([LiveJob("r", CAT, elapsed_s=8.0)], seen(*[2.0] * 10))["r"]
    assert (eta.p50_s, eta.p90_s) == pytest.approx((4, 7.2))


def test_nothing_is_said_until_enough_is_known() -> None:
    line = [LiveJob("r", CAT, elapsed_s=1.0, step=2, total_steps=4), *waiting(1)]
    assert foretold(line, seen(2, 2, 2)) == {}
    assert foretold(line, seen(2, 2, 2, 2)).keys() == {"r", "w0"}


def test_jobs_of_quite_another_size_teach_nothing() -> None:
    huge = Workload("generate", 2048 * 2048, 50, 1, guided=True)
    assert foretold(waiting(1, huge), seen(*[2.0] * 50)) == {}


def test_nothing_is_said_behind_a_job_of_unknown_length() -> None:
    huge = Workload("generate", 2048 * 2048, 50, 1, guided=True)
    line = [*waiting(1), LiveJob("huge", huge), LiveJob("behind", CAT)]
    assert foretold(line, seen(*[2.0] * 10)).keys() == {"w0"}


def test_a_job_of_twice_the_work_takes_twice_as_long() -> None:
    double = Workload("generate", 64 * 64, 8, 1, guided=False)
    assert foretold(waiting(1, double), seen(*[2.0] * 20))["w0"].p50_s == pytest.approx(4)


def test_the_recent_count_for_more() -> None:
    now_slow = seen(*[6.0] * 100, *[2.0] * 100)
    assert foretold(waiting(1), now_slow)["w0"].p50_s == pytest.approx(6)


def test_those_under_a_like_load_count_for_more() -> None:
    alone_and_crowded = [*seen(*[1.0] * 20), *seen(*[5.0] * 20, beside=7)]
    crowd = [LiveJob(f"r{i}", CAT, elapsed_s=0.0) for i in range(8)]
    assert foretold(crowd, alone_and_crowded, places=8)["r0"].p50_s == pytest.approx(5)


@given(
    seconds=st.lists(st.floats(0, 1000), min_size=4, max_size=30),
    elapsed=st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 20)), max_size=8),
    places=st.integers(1, 8),
)
def test_p90_is_never_before_p50_and_neither_is_in_the_past(
    seconds: list[float], elapsed: list[tuple[float, float]], places: int
) -> None:
    line = [
        LiveJob(f"r{i}", CAT, elapsed_s=s, step=d, total_steps=20)
        for i, (s, d) in enumerate(elapsed)
    ]
    etas = foretold([*line, *waiting(3)], seen(*seconds, beside=places), places=places)
    assert all(0 <= eta.p50_s <= eta.p90_s < float("inf") for eta in etas.values())
