"""What is wrong with the environment, in sentences without what was given: it may be a secret."""

from __future__ import annotations

import re

from pydantic import ValidationError
from pydantic_settings import SettingsError

from gateway.settings import Settings


def wrong_settings() -> list[str]:
    """A line for each variable that the settings refuse; none when they can be read."""
    try:
        Settings()
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=True)
        return [f"{_variable(str(wrong['loc'][0]))}: {_reason(wrong['msg'])}" for wrong in found]
    except SettingsError as error:
        named = re.search(r'field "(\w+)"', str(error))
        return [f"{_variable(named[1] if named else '...')}: it must be JSON, quotes included"]
    return []


def _variable(name: str) -> str:
    return f"RETOUCH_{name.upper()}"


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")
