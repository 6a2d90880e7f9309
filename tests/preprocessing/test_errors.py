import re
from pathlib import Path

from preprocessing import errors

CODE = re.compile(r'"((?:image|unsupported|mask|point|box|labels|prompt)_[a-z_]+)"')


def test_every_raised_code_is_in_the_table():
    folder = Path(errors.__file__).parent
    raised = {
        code for file in folder.glob("*.py") for code in CODE.findall(file.read_text("utf-8"))
    }
    assert {code for code in raised if code not in (errors.__doc__ or "")} == set()
    assert len(raised) == 17


def test_rejections_are_value_errors_with_code_and_sentence():
    error = errors.PromptRejectedError("no_mask", "No instance contains the point.")
    assert isinstance(error, ValueError)
    assert (error.code, str(error)) == ("no_mask", error.message)
