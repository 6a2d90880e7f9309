"""How a job in a pipeline model can end other than with a picture."""

from __future__ import annotations


class StageError(RuntimeError):
    """A stage model refused or failed; the message is its own."""


class JobCanceledError(Exception):
    """The client went away or canceled; raised between two steps."""


class JobRefusedError(Exception):
    """The job is not done; `code` says why in a word, the message in a sentence."""

    code = "refused"


class OverloadedError(JobRefusedError):
    """As many jobs wait as may wait."""

    code = "overloaded"


class DoesNotFitError(JobRefusedError):
    """The job needs more memory than there is, even when it runs alone."""

    code = "does_not_fit"


class DeadlineExceededError(JobRefusedError):
    """The request's time was over before the job was done."""

    code = "deadline_exceeded"
