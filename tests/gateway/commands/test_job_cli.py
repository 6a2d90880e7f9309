"""`retouch jobs` on a database beside a gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.jobs.job import JobFailure, JobStatus, NewJob
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_lookup import get
from gateway.jobs.job_store import end
from gateway.jobs.job_submission import submit

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def database(tmp_path: Path) -> JobDatabase:
    opened = JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
    opened.prepare()
    return opened


@pytest.fixture
def retouch(database: JobDatabase, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("RETOUCH_DATABASE_URL", database.url)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["jobs", *words])
        return done.exit_code, done.output

    return call


def make(database: JobDatabase) -> str:
    new = NewJob(task="generate", model="qwen_image", request={"prompt": "a cat"})
    return submit(database, new, max_queued=9).job.id


def test_jobs_are_listed_and_shown(database: JobDatabase, retouch: Command) -> None:
    job_id = make(database)
    code, text = retouch("list")
    assert code == 0
    assert job_id in text
    assert "queued" in text
    assert job_id not in retouch("list", "--status", "failed")[1]
    code, text = retouch("show", job_id)
    assert code == 0
    assert "a cat" in text
    assert "event 1" in text


def test_ids_are_listed_whole_on_a_narrow_terminal(
    database: JobDatabase, retouch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = make(database)
    monkeypatch.setenv("COLUMNS", "80")
    text = retouch("list")[1]
    assert job_id in text, "it is copied into `retouch jobs show`"
    assert "queued" in text


def test_a_canceled_job_can_be_tried_again(database: JobDatabase, retouch: Command) -> None:
    job_id = make(database)
    assert retouch("cancel", job_id) == (0, "canceled\n")
    assert get(database, job_id).status is JobStatus.CANCELED
    code, text = retouch("retry", job_id)
    again = get(database, text.strip())
    assert (code, again.status, again.request) == (0, JobStatus.QUEUED, {"prompt": "a cat"})
    assert retouch("retry", job_id)[1] == text


def test_what_cannot_be_done_is_said(database: JobDatabase, retouch: Command) -> None:
    code, text = retouch("show", "job_0")
    assert (code, text) == (1, "There is no job 'job_0'.\n")
    job_id = make(database)
    end(database, job_id, JobStatus.FAILED, failure=JobFailure("x", "y"))
    code, text = retouch("replay-webhook", job_id)
    assert code == 1
    assert "has no webhook" in text
