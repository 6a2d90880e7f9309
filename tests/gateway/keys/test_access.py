"""Who gets in, and who sees what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import Keyed, serve
from tests.gateway.front_end.conftest import submission
from tests.gateway.openai_images.conftest import hole
from tests.gateway.problems import assert_problem
from tests.odd_pictures import photo

CAT = {"task": "generate", "prompt": "a cat"}


async def finished_job(keyed: Keyed, who: str, **fields: Any) -> dict[str, Any]:
    headers = {**keyed.headers(who), "Prefer": "wait=20"}
    response = await keyed.client.post("/v1/jobs", json=CAT | fields, headers=headers)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def upload(keyed: Keyed, who: str) -> str:
    response = await keyed.client.post(
        "/v1/files", files={"file": photo()}, headers=keyed.headers(who)
    )
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


@pytest.mark.parametrize("url", ["/v1/jobs", "/v1/models", "/v1/files/x", "/api/generate/status/x"])
@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Basic abc", "Bearer "])
async def test_nothing_without_a_key(keyed: Keyed, url: str, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    response = await keyed.client.get(url, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    if url.startswith("/v1"):
        assert assert_problem(response)["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "url", ["/health/live", "/health/ready", "/api/health", "/docs", "/docs/start.js"]
)
async def test_health_needs_none(keyed: Keyed, url: str) -> None:
    assert (await keyed.client.get(url)).status_code == 200


async def test_a_refusal_can_be_read_by_the_web(keyed: Keyed) -> None:
    origin = {"Origin": "http://localhost:3000"}
    response = await keyed.client.get("/v1/jobs", headers=origin)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == origin["Origin"]


async def test_another_keys_job_is_not_there(keyed: Keyed) -> None:
    job = await finished_job(keyed, "ann")
    urls = [*job["urls"].values(), f"/api/generate/result/{job['id']}"]
    urls.remove(job["urls"]["retry"])
    for url in urls:
        method = "POST" if url.endswith("cancel") else "GET"
        own = await keyed.client.request(method, url, headers=keyed.headers("ann"))
        other = await keyed.client.request(method, url, headers=keyed.headers("bob"))
        assert (own.status_code, other.status_code) == (200, 404), url
    for method, url in (("POST", job["urls"]["retry"]), ("DELETE", job["urls"]["self"])):
        other = await keyed.client.request(method, url, headers=keyed.headers("bob"))
        assert other.status_code == 404, url
    front_end = await keyed.client.get(
        f"/api/generate/stream/{job['id']}", headers=keyed.headers("bob")
    )
    assert "not found" in front_end.text


async def test_lists_show_ones_own_jobs(keyed: Keyed) -> None:
    mine = await finished_job(keyed, "ann")
    await finished_job(keyed, "bob")
    listed = (await keyed.client.get("/v1/jobs", headers=keyed.headers("ann"))).json()
    assert [job["id"] for job in listed["data"]] == [mine["id"]]


async def test_a_result_is_its_owners_alone(keyed: Keyed) -> None:
    job = await finished_job(keyed, "ann")
    url = job["output"][0]["url"]
    for who, status in (("ann", 200), ("bob", 404)):
        assert (await keyed.client.get(url, headers=keyed.headers(who))).status_code == status


@pytest.mark.parametrize("suffix", ["", "/content"])
async def test_a_file_is_its_owners_alone(keyed: Keyed, suffix: str) -> None:
    file_id = await upload(keyed, "ann")
    url = f"/v1/files/{file_id}{suffix}"
    for who, status in (("ann", 200), ("bob", 404), ("admin", 404)):
        assert (await keyed.client.get(url, headers=keyed.headers(who))).status_code == status


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/jobs", {"task": "edit", "prompt": "x", "image": "FILE"}),
        ("/v1/masks", {"image": "FILE", "everything": True}),
        ("/v1/images/edits", {"prompt": "x", "image": "FILE"}),
        ("/v1/images/edits", {"prompt": "x", "image": "OWN", "mask": "FILE"}),
        ("/v1/jobs", {"task": "edit", "prompt": "x", "image": "OWN", "mask": "FILE"}),
        ("/v1/jobs", {"task": "edit", "prompt": "x", "image": "OWN", "reference": ["FILE"]}),
        ("/api/smart-mask", {"image_id": "FILE", "bbox": [1, 1, 9, 9]}),
    ],
)
async def test_another_keys_file_cannot_be_worked_on(
    keyed: Keyed, url: str, body: dict[str, Any]
) -> None:
    headers = keyed.headers("ann")
    files = {"file": hole(20, 30, 80, 120)}
    mask = (await keyed.client.post("/v1/files", files=files, headers=headers)).json()["id"]
    # Read by its owner, so that the gateway has it in memory.
    own = {"prompt": "x", "image": await upload(keyed, "ann"), "mask": mask}
    assert (await keyed.client.post("/v1/images/edits", json=own, headers=headers)).is_success
    text = json.dumps(body).replace("FILE", mask).replace("OWN", await upload(keyed, "bob"))
    headers = {**keyed.headers("bob"), "Content-Type": "application/json"}
    response = await keyed.client.post(url, content=text, headers=headers)
    assert response.status_code == 404


async def test_the_same_bytes_of_two_keys_live_apart(keyed: Keyed) -> None:
    first, second = await upload(keyed, "ann"), await upload(keyed, "bob")
    assert first == second
    url = f"/v1/files/{first}"
    assert (await keyed.client.delete(url, headers=keyed.headers("ann"))).status_code == 204
    assert (await keyed.client.get(url, headers=keyed.headers("ann"))).status_code == 404
    assert (await keyed.client.get(url, headers=keyed.headers("bob"))).status_code == 200
    assert (await keyed.client.delete(url, headers=keyed.headers("bob"))).status_code == 204
    assert (await keyed.client.get(url, headers=keyed.headers("bob"))).status_code == 404


@pytest.mark.parametrize("action", ["load", "unload"])
async def test_models_are_moved_by_admins_alone(keyed: Keyed, action: str) -> None:
    url = f"/v1/models/fastsam/{action}"
    for who, status in (("ann", 403), ("admin", 200)):
        assert (await keyed.client.post(url, headers=keyed.headers(who))).status_code == status


async def test_the_front_end_comes_without_a_key_where_told_to(
    keyed: Keyed, tmp_path: Path
) -> None:
    async with serve(tmp_path, front_end_without_key=True) as gateway:
        response = await gateway.client.post("/api/generate/async", json=submission())
        task = response.json()["task_id"]
        status = await gateway.client.get(f"/api/generate/status/{task}")
        assert status.status_code == 200
        assert (await gateway.client.get("/v1/jobs")).status_code == 401
        ann = keyed.headers("ann")
        assert (await gateway.client.get(f"/v1/jobs/{task}", headers=ann)).status_code == 404


async def test_requests_are_limited_by_key(keyed: Keyed) -> None:
    answers = [
        await keyed.client.get("/v1/models", headers=keyed.headers("slow")) for _ in range(4)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    left = [answer.headers.get("x-ratelimit-remaining-requests") for answer in answers]
    assert left == ["2", "1", "0", None]
    problem = assert_problem(answers[-1])
    assert problem["code"] == "rate_limit_exceeded"
    assert "3 requests a minute" in problem["detail"]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    other = await keyed.client.get("/v1/models", headers=keyed.headers("ann"))
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("url", "body"),
    [("/v1/jobs", CAT), ("/v1/images/generations", {"prompt": "a cat"})],
)
async def test_pixels_are_limited_by_key(keyed: Keyed, url: str, body: dict[str, Any]) -> None:
    headers = keyed.headers("small")
    statuses = [
        (await keyed.client.post(url, json=body, headers=headers)).status_code for _ in range(3)
    ]
    assert [status < 300 for status in statuses] == [True, True, False]
    assert statuses[-1] == 429
    too_large = body | {"size": "512x512"}
    response = await keyed.client.post(url, json=too_large, headers=headers)
    assert "262144 pixels" in response.json()["detail"]


async def test_guessing_is_slowed_down(keyed: Keyed) -> None:
    statuses = []
    for number in range(32):
        headers = {"Authorization": f"Bearer rt_{number:012x}_{'a' * 43}"}
        statuses.append((await keyed.client.get("/v1/jobs", headers=headers)).status_code)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    good = await keyed.client.get("/v1/jobs", headers=keyed.headers("ann"))
    assert good.status_code == 200
