"""Camera angles and backgrounds that the front end offers by name, as words of the prompt."""

from __future__ import annotations

from collections.abc import Mapping

ANGLES: Mapping[str, str] = {
    "wide-angle": "广角镜头",
    "top-down": "俯视角度",
    "side-view": "侧面视角",
    "front-view": "正面视角",
    "close-up": "特写镜头",
    "low-angle": "低角度",
    "high-angle": "高角度",
    "bird-eye": "鸟瞰视角",
    "eye-level": "平视角度",
    "dutch-angle": "倾斜角度",
}
"""In Chinese, as the front end's former server sent them to the same model and adapters."""
_BETWEEN = " | "


def with_view(prompt: str, *, angle: str | None, background: str | None) -> str:
    """The prompt with what was chosen behind it; what is no name counts as words itself.

    >>> with_view("a hat", angle="Top-Down", background="marble-surface")
    'a hat | 俯视角度 | marble surface background'
    >>> with_view("a hat", angle="seen from behind", background=None)
    'a hat | seen from behind'
    """
    view = (angle or "").strip()
    place = (background or "").strip()
    if view:
        view = ANGLES.get(view.lower(), view)
    if place and " " not in place:
        place = f"{place.removesuffix('-background').replace('-', ' ')} background"
    return _BETWEEN.join(part for part in (prompt, view, place) if part)
