"""From the instances of a picture to the masks that are asked for; no model, no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import ImageInvalidError
from gateway.rejections import rejections
from preprocessing.arrays import Floats, Mask
from preprocessing.boxed_mask import BoxedMask
from preprocessing.fastsam import Instances, instance_mask, instance_patch
from preprocessing.masks import hard
from preprocessing.operations import Operation, apply_operations
from preprocessing.prompts import Choice, Prompt, rank

MAX_ALTERNATIVES = 10


@dataclass(frozen=True)
class Alternative:
    """Another instance that satisfies the prompt."""

    score: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class SmartMask:
    """A mask and how it was found."""

    boxed: BoxedMask
    """bool, or uint8 where an operation made a soft edge."""
    score: float
    prompt_index: int | None
    """Which prompt it answers; None when everything was asked for."""
    alternatives: tuple[Alternative, ...]
    """Other instances that satisfied the prompt, best first, at most `MAX_ALTERNATIVES`."""

    @property
    def mask(self) -> Mask:
        """The picture's (H, W) without the soft edge: levels from 128 on."""
        return hard(self.boxed.spread())


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the instances of a picture."""

    prompts: Sequence[Prompt]
    """One prompt describes one object."""
    everything: bool = False
    """Ignore prompts and return all instances, best first."""
    multimask: bool = False
    """For each prompt return its alternatives too."""
    max_masks: int = 100
    """At most so many masks in all."""
    operations: Sequence[Operation] = ()
    """Done to every mask, in this order."""
    pointer: str = "/prompts/{index}"
    """Where prompt `{index}` stands in the request, for errors."""

    @property
    def is_quick(self) -> bool:
        """Others who wait for the same instances need not mind this answer."""
        return not self.everything and not self.operations and not any(p.text for p in self.prompts)


_Found = tuple[int | None, Choice, Sequence[Choice]]
"""Prompt, choice and the choice's alternatives."""


def choose_masks(
    instances: Instances, question: Question, similarities: Mapping[str, Floats]
) -> list[SmartMask]:
    """One mask per prompt, or more with `multimask`, or all instances; best first.

    Args:
        instances: of the picture.
        question: its prompts were checked.
        similarities: (N,) 0 to 1 of the instances to each text that a prompt has.

    Raises:
        ImageInvalidError: mask_not_found, no instance satisfies a prompt.
    """
    found = _all(instances) if question.everything else _chosen(instances, question, similarities)
    return [
        SmartMask(
            _boxed(instances, choice.index, question.operations),
            choice.score,
            index,
            tuple(_alternative(instances, other) for other in others),
        )
        for index, choice, others in found[: question.max_masks]
    ]


def _all(instances: Instances) -> list[_Found]:
    return [(None, Choice(i, float(score)), ()) for i, score in enumerate(instances.scores)]


def _chosen(
    instances: Instances, question: Question, similarities: Mapping[str, Floats]
) -> list[_Found]:
    found: list[_Found] = []
    for index, prompt in enumerate(question.prompts):
        choices = rank(instances, prompt, similarity=similarities.get(prompt.text))
        if not choices:
            raise ImageInvalidError(
                f"Nothing was found for prompt {index}: no object of the "
                f"{len(instances)} in the picture satisfies it.",
                code="mask_not_found",
                pointer=question.pointer.format(index=index),
            )
        for place, choice in enumerate(choices if question.multimask else choices[:1]):
            others = [*choices[:place], *choices[place + 1 :]]
            found.append((index, choice, others[:MAX_ALTERNATIVES]))
    return found


def _boxed(instances: Instances, index: int, operations: Sequence[Operation]) -> BoxedMask:
    """An operation may reach beyond the instance's box."""
    if operations:
        with rejections("/ops"):
            return BoxedMask.of(apply_operations(instance_mask(instances, index), operations))
    patch, box = instance_patch(instances, index)
    width, height = instances.plan.image_wh
    return BoxedMask(patch, box, (height, width))


def _alternative(instances: Instances, choice: Choice) -> Alternative:
    x0, y0, x1, y1 = (int(value) for value in instances.pixel_boxes()[choice.index])
    return Alternative(choice.score, (x0, y0, x1, y1))
