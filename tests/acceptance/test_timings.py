"""Where a job says its time went, and what the stages knew already."""

from pathlib import Path

from tests.acceptance.served import Served

STEPS = 6
ORDER = {"task": "generate", "num_inference_steps": STEPS, "size": "128x128", "seed": 11}
PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "scene.png"


def test_a_job_tells_its_stages(gateway: Served) -> None:
    job = gateway.finish(gateway.submit(**ORDER, prompt="a barn", true_cfg_scale=2))
    stages = job["timings"]["stages"]
    calls = {stage: figures["calls"] for stage, figures in stages.items()}
    assert calls == {"text_encoder": 2, "transformer": 2 * STEPS, "vae_decoder": 1}
    assert all(figures["seconds"] > 0 for figures in stages.values())
    assert stages["text_encoder"]["seconds"] < job["timings"]["inference_s"]


def test_the_second_job_of_a_prompt_shows_the_hit_and_equals_the_first(gateway: Served) -> None:
    order = {**ORDER, "prompt": "a barn in fog, seen once", "determinism": "exact"}
    answers = [
        gateway.http.post("/v1/jobs", json=order, headers={"Prefer": "wait=50"}) for _ in range(2)
    ]
    first, second = (answer.json() for answer in answers)
    assert first["timings"]["stages"]["text_encoder"]["cached"] == 0
    assert second["timings"]["stages"]["text_encoder"]["cached"] == 1
    assert first["output"][0]["sha256"] == second["output"][0]["sha256"]
    headers = [answer.headers["Server-Timing"] for answer in answers]
    assert headers[0].startswith("text;dur=")
    assert 'desc="cached"' not in headers[0]
    assert headers[1].split(", ")[0].endswith(';desc="cached"')
    assert f'desc="{STEPS} calls"' in headers[1]
    again = gateway.http.get(second["urls"]["self"])
    assert again.headers["Server-Timing"] == headers[1]


def test_a_known_condition_image_is_not_encoded_again(gateway: Served) -> None:
    image = gateway.upload(PICTURE.read_bytes())
    order = {"task": "edit", "prompt": "make it blue", "image": image, "num_inference_steps": 3}
    jobs = [gateway.finish(gateway.submit(**order, seed=seed)) for seed in (1, 1, 2)]
    stages = [job["timings"]["stages"] for job in jobs]
    assert stages[0]["vae_encoder"]["calls"] == 1
    assert [entry["vae_encoder"]["cached"] for entry in stages[1:]] == [1, 1]
    assert [entry["text_encoder"]["cached"] for entry in stages[1:]] == [1, 1]
    assert jobs[0]["output"][0]["sha256"] == jobs[1]["output"][0]["sha256"]
    assert jobs[2]["output"][0]["sha256"] != jobs[0]["output"][0]["sha256"]
