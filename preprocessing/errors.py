"""What a caller can get wrong: a code for programs and a sentence for people.

    RejectedError (a ValueError)
    ├── ImageRejectedError   image_unreadable, unsupported_format, image_too_large, image_too_small,
    │                        image_aspect
    ├── MaskRejectedError    mask_empty, mask_full, mask_size, mask_unreadable, mask_no_alpha, ops_order
    ├── PromptRejectedError  point_outside, box_outside, box_empty, labels_mismatch, prompt_empty,
    │                        scribble_empty, mask_hint_empty, mask_size
    └── SizeRejectedError    unsupported_size

The sentence says what is wrong, the limit and the actual value.
"""

from __future__ import annotations


class RejectedError(ValueError):
    """The input cannot be used.

    >>> str(MaskRejectedError("mask_empty", "The mask selects nothing."))
    'The mask selects nothing.'
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ImageRejectedError(RejectedError):
    """The bytes are not a picture within the limits."""


class MaskRejectedError(RejectedError):
    """The mask cannot be read or used: it selects nothing, or has another size than its picture."""


class PromptRejectedError(RejectedError):
    """The points, box, scribble or hint do not fit the picture, or each other."""


class SizeRejectedError(RejectedError):
    """The output size is one that the networks cannot draw."""
