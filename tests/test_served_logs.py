"""The look into served logs finds what is planted there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.served_logs import ServedLogs, prompts_in, prompts_sent

PROMPT = "a walrus that no log may know of"
SETTINGS = {"webhook_secret": "whsec_c2VjcmV0IG9mIHRoZSBzZWE=", "port": 8080}
FINE = '{"message": "POST /v1/jobs 202 in 3.1 ms", "request_id": "r-1"}\n'


def leaks(log: Path, text: str) -> list[str]:
    log.write_text(text)
    logs = ServedLogs()
    logs.watch(log, SETTINGS)
    found = logs.leaks()
    assert logs.lines == len(text.splitlines())
    return found


@pytest.mark.parametrize(
    "planted",
    [
        f"painting {PROMPT!r}",
        f"rt_{'0' * 12}_{'a' * 43}",
        "Authorization: Bearer abc",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg",
        f"signed with {SETTINGS['webhook_secret']}",
        "key=c2VjcmV0IG9mIHRoZSBzZWE=",
    ],
)
def test_a_planted_secret_is_found(tmp_path: Path, planted: str) -> None:
    (leak,) = leaks(tmp_path / "gateway.log", f"{FINE}{planted}\n{FINE}")
    assert planted[:20] in leak


def test_what_is_no_secret_is_not(tmp_path: Path) -> None:
    assert not leaks(tmp_path / "gateway.log", FINE + "listening on port 8080\n")


def test_a_log_that_was_never_written_is_no_fault(tmp_path: Path) -> None:
    logs = ServedLogs()
    logs.watch(tmp_path / "none.log", SETTINGS)
    assert not logs.leaks()


def test_prompts_are_read_from_sources_in_every_form() -> None:
    source = """
PROMPTS = ("one", "two")
client.edit(prompt="three", size="64x64")
body = {"prompt": f"four {number}", "negative_prompt": "five", "task": "edit"}
"""
    assert set(prompts_in(source)) == {"one", "two", "three", "four", "five"}


def test_the_prompts_of_the_tests_are_known_and_the_products_words_are_none() -> None:
    assert {PROMPT, "a heron among reeds"} <= prompts_sent()
    assert not {"remove object", "white balance"} & prompts_sent()
