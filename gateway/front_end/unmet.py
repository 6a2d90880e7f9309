"""What a submission asks for that is not done, in sentences the front end may show."""

from __future__ import annotations

from gateway.front_end.fields import SubmitFields

_REFINEMENT = (
    "enable_mae_refinement has no effect: the first guess of what is behind an object is the "
    "lama model's or OpenCV's, and is not painted over."
)


def unmet_wishes(fields: SubmitFields) -> list[str]:
    """Only what was said and does not happen; a field left at its default says nothing."""
    found = []
    if "guidance_scale" in fields.model_fields_set and fields.guidance_scale != _default_guidance():
        found.append("guidance_scale has no effect: the models are guided by true_cfg_scale.")
    removes = fields.task_type == "removal"
    if removes and "enable_mae_refinement" in fields.model_fields_set:
        found += [_REFINEMENT] if fields.enable_mae_refinement else []
    if fields.refine_mask_with_birefnet and not removes:
        found.append(_only_for("refine_mask_with_birefnet", "removal", fields))
    if fields.task_type == "white-balance":
        named = [name for name in ("angle", "background_preset") if getattr(fields, name)]
        found += [_only_for(name, "insertion and removal", fields) for name in named]
    return found


def _default_guidance() -> float:
    return float(SubmitFields.model_fields["guidance_scale"].default)


def _only_for(name: str, tasks: str, fields: SubmitFields) -> str:
    return f"{name} is for {tasks}; it has no effect on {fields.task_type}."
