"""What each task needs, what it has no use for, and which model and adapter do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import InvalidRequestError, UnsupportedValueError
from gateway.inference import EDIT_MODEL, GENERATION_MODEL

_MAX_IMAGES = 4  # what the edit model takes


@dataclass(frozen=True, kw_only=True)
class TaskRule:
    """One task."""

    model: str
    needs: tuple[str, ...] = ()
    """Parts of the request it cannot do without."""
    refuses: tuple[str, ...] = ()
    """Parts it has no use for; they are refused, not ignored."""
    max_references: int = 0
    default_prompt: str = ""
    """For an empty prompt; without one a prompt is needed."""
    adapters: tuple[str, ...] = ()
    """Names under which a LoRA adapter for the task goes; the first that the model has is used."""


_NO_REFERENCE = ("reference_mask", "prefill_grow")
_PASTE = ("preserve", "feather")
"""How a painted part comes back into its picture: for tasks that paint a part."""

TASKS: Mapping[str, TaskRule] = {
    "generate": TaskRule(
        model=GENERATION_MODEL,
        refuses=("image", "mask", "strength", "crop", "keep_alpha", *_PASTE, *_NO_REFERENCE),
    ),
    "edit": TaskRule(
        model=EDIT_MODEL, needs=("image",), refuses=("strength", *_NO_REFERENCE), max_references=3
    ),
    "inpaint": TaskRule(
        model=GENERATION_MODEL,
        needs=("image", "mask"),
        refuses=_NO_REFERENCE,
        max_references=_MAX_IMAGES - 2,
    ),
    "insert": TaskRule(
        model=EDIT_MODEL,
        needs=("image", "mask"),
        refuses=("strength", "prefill_grow"),
        max_references=1,
        adapters=("insertion", "insert"),
    ),
    "remove": TaskRule(
        model=EDIT_MODEL,
        needs=("image", "mask"),
        refuses=("strength", "reference_mask"),
        default_prompt="remove object",
        adapters=("removal", "remove"),
    ),
    "white_balance": TaskRule(
        model=EDIT_MODEL,
        needs=("image",),
        refuses=("mask", "strength", "crop", "n", *_PASTE, *_NO_REFERENCE),
        default_prompt="white balance",
        adapters=("white_balance", "white-balance"),
    ),
}
_INSERT_REFERENCE_PROMPT = "insert the object"


def model_of(wanted: Mapping[str, Any]) -> str:
    """The model that does a request.

    Inpainting with an eye on further pictures is for the edit model: the generator takes none.
    """
    if wanted["task"] == "inpaint" and wanted.get("reference"):
        return EDIT_MODEL
    return TASKS[wanted["task"]].model


def prompt_of(wanted: Mapping[str, Any]) -> str:
    """The prompt, or the task's own where it is empty.

    Raises:
        InvalidRequestError: it is empty and the task has none.
    """
    prompt = str(wanted.get("prompt") or "")
    if prompt.strip():
        return prompt
    task = wanted["task"]
    default = TASKS[task].default_prompt
    if task == "insert" and wanted.get("reference"):
        default = _INSERT_REFERENCE_PROMPT
    if not default:
        raise InvalidRequestError(f"Task {task} needs a prompt; it is empty.", pointer="/prompt")
    return default


def require_parts(wanted: Mapping[str, Any]) -> None:
    """Check that a request has what its task needs, and nothing that it has no use for.

    Raises:
        InvalidRequestError: something is missing.
        UnsupportedValueError: something is of no use.
    """
    task = wanted["task"]
    rule = TASKS[task]
    for part in rule.needs:
        if not wanted.get(part):
            raise InvalidRequestError(f"Task {task} needs {part}.", pointer=f"/{part}")
    for part in rule.refuses:
        if _is_given(part, wanted.get(part)):
            raise UnsupportedValueError(f"Task {task} takes no {part}.", pointer=f"/{part}")
    _require_mask_to_paste(wanted)
    references = len(wanted.get("reference") or ())
    if references > rule.max_references:
        few = f"at most {rule.max_references} reference" if rule.max_references else "no reference"
        message = f"Task {task} takes {few}; there are {references}."
        raise UnsupportedValueError(message, pointer="/reference")
    if task == "inpaint" and references and wanted.get("strength") is not None:
        message = "Task inpaint takes no strength together with references."
        raise UnsupportedValueError(message, pointer="/strength")
    if wanted.get("reference_mask") and not references:
        message = "A reference_mask needs a reference."
        raise InvalidRequestError(message, pointer="/reference")


def _require_mask_to_paste(wanted: Mapping[str, Any]) -> None:
    """Without a mask the whole picture is the model's: only `preserve: none` is true then."""
    for part in _PASTE:
        if wanted.get("mask") or wanted.get(part) in (None, "none"):
            continue
        message = f"Without a mask nothing is kept of the picture, so there is no {part}."
        raise UnsupportedValueError(message, pointer=f"/{part}")


def _is_given(part: str, value: Any) -> bool:
    """Whether a request says something of a part beyond its default."""
    if value is None or value is False or value == []:
        return False
    return not (part == "n" and value == 1)


def with_task_adapter(
    task: str, wanted: Mapping[str, float], known: Sequence[str]
) -> dict[str, float]:
    """The adapters that were asked for, and the task's own where the model has one.

    A scale of 0 for the task's adapter turns it off.

    >>> with_task_adapter("remove", {"lightning": 0.5}, ["lightning", "removal"])
    {'removal': 1.0, 'lightning': 0.5}
    >>> with_task_adapter("remove", {"removal": 0}, ["removal"])
    {'removal': 0}
    """
    own = next((name for name in TASKS[task].adapters if name in known), None)
    return {**({own: 1.0} if own else {}), **wanted}


def require_adapters(model: str, wanted: Iterable[str], known: Sequence[str]) -> None:
    """Refuse adapters that a model does not have.

    Raises:
        UnsupportedValueError: the sentence names those it has.
    """
    for name in wanted:
        if name not in known:
            there_are = ", ".join(known) or "none"
            message = f"Model {model} has no adapter {name!r}; it has: {there_are}."
            raise UnsupportedValueError(message, pointer=f"/adapters/{name}")
