"""What Triton's `/metrics` says of the stages, and what their cache saves."""

import re

import httpx

from tests.acceptance.served import Served, eventually

TRANSFORMER, TEXT_ENCODER = "qwen_image_transformer", "qwen_text_encoder"
COUNTED = {TEXT_ENCODER, "qwen_vae_decoder", TRANSFORMER}


def metrics(gateway: Served) -> dict[tuple[str, str], float]:
    """Values of our families by name and model."""
    text = httpx.get(gateway.triton["metrics"]).text
    line = re.compile(r'^(retouch_stage_\w+)\{model="(\w+)"\} (\S+)$', re.MULTILINE)
    return {(name, model): float(value) for name, model, value in line.findall(text)}


def grown(
    before: dict[tuple[str, str], float], after: dict[tuple[str, str], float], model: str
) -> dict[str, float]:
    """By how much a model's metrics rose; names without their prefix."""
    return {
        name.removeprefix("retouch_stage_"): value - before.get((name, owner), 0)
        for (name, owner), value in after.items()
        if owner == model
    }


STEPS = 24
LONG = 100
"""Steps of jobs that are to meet: those that come first are still at work when the last comes."""


def succeed(gateway: Served, *jobs: dict[str, object], steps: int = STEPS) -> list[str]:
    """Digests of the pictures of jobs that run together."""
    accepted = [gateway.submit(task="generate", num_inference_steps=steps, **job) for job in jobs]
    ended = [gateway.finish(job) for job in accepted]
    assert [job["status"] for job in ended] == ["succeeded"] * len(jobs)
    return [job["output"][0]["sha256"] for job in ended]


def test_steps_of_concurrent_jobs_are_rows_of_few_passes(gateway: Served) -> None:
    succeed(gateway, {"prompt": "warm up"})
    for attempt in range(12):  # it is 2.8 to 3.6 as processors come and go
        before = metrics(gateway)
        prompts = [f"picture {attempt} {n}" for n in range(8)]
        succeed(gateway, *({"prompt": prompt} for prompt in prompts), steps=LONG)
        after = metrics(gateway)
        steps = grown(before, after, TRANSFORMER)
        rows, passes = steps["batch_size_sum"], steps["batch_size_count"]
        assert rows >= 8 * LONG
        canaries = rows - 8 * LONG  # each a row, and a pass of its own at the most
        if (batch := 8 * LONG / (passes - canaries)) >= 3:
            break
    assert batch >= 3
    assert 0 < steps["seconds_total"] < 60
    for model in COUNTED:
        assert grown(before, after, model)["batch_size_count"] > 0


def test_the_same_prompt_is_encoded_once(gateway: Served) -> None:
    job = {"prompt": "a heron among reeds", "seed": 4}
    before = metrics(gateway)
    (alone,) = succeed(gateway, job)
    first = grown(before, metrics(gateway), TEXT_ENCODER)
    assert (first["cache_misses_total"], first["cache_hits_total"]) == (1, 0)
    (again,) = succeed(gateway, job)
    both = grown(before, metrics(gateway), TEXT_ENCODER)
    assert (both["cache_misses_total"], both["cache_hits_total"]) == (1, 1)
    assert again == alone


def test_jobs_of_one_prompt_at_once_encode_it_once(gateway: Served) -> None:
    job = {"prompt": "two herons among reeds"}
    before = metrics(gateway)
    succeed(gateway, *({**job, "seed": seed} for seed in range(4)))
    encoder = grown(before, metrics(gateway), TEXT_ENCODER)
    assert (encoder["cache_misses_total"], encoder["cache_hits_total"]) == (1, 3)


def test_canaries_reach_the_network(gateway: Served) -> None:
    model = "qwen_vae_encoder"
    before = metrics(gateway)
    requests = gateway.statistics(model)[0]
    eventually(lambda: gateway.statistics(model)[0] >= requests + 3, timeout_s=30)
    after = grown(before, metrics(gateway), model)
    assert after["batch_size_count"] >= 3
    assert after["cache_hits_total"] == after["cache_misses_total"] == 0
