"""The table of bad and odd inputs against the real server: a sentence each, and no harm done."""

import pytest

from tests.acceptance.served import Served
from tests.bad_inputs import BAD_INPUTS, BadInput


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_is_answered_with_its_sentence(gateway: Served, bad: BadInput) -> None:
    ids = {name: gateway.upload(make()) for name, make in bad.uploads.items()}
    response = gateway.http.request(**bad.request(ids))
    assert response.status_code == bad.status, response.text
    if bad.code:
        assert response.json()["code"] == bad.code
        assert bad.says in response.json()["detail"]
    else:
        assert bad.says in response.text


def test_the_server_is_none_the_worse(gateway: Served) -> None:
    assert gateway.is_ready()
    job = gateway.submit(task="generate", prompt="still here", num_inference_steps=1)
    assert gateway.finish(job)["status"] == "succeeded"
