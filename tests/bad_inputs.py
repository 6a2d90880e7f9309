"""Bad and odd inputs to the HTTP API, with what the gateway must answer; data alone."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests import odd_pictures as odd
from tests.preprocessing.pictures import png

Make = Callable[[], bytes]


@dataclass(frozen=True, kw_only=True)
class BadInput:
    """One request and the answer it must get."""

    name: str
    method: str = "POST"
    path: str
    kwargs: Callable[[], dict[str, Any]] = dict
    """Keyword arguments of `httpx.AsyncClient.request`."""
    uploads: Mapping[str, Make] = field(default_factory=dict)
    """Pictures to upload first; `{name}` in path, JSON and content stands for their ids."""
    status: int
    code: str
    """`code` of the problem; empty where the input is accepted."""
    says: str
    """Part of the problem's `detail`; of the body where the input is accepted."""

    def request(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """What to hand to `httpx.AsyncClient.request`, ids filled in."""
        kwargs = self.kwargs()
        for part in ("json", "content"):
            if part in kwargs:
                kwargs[part] = _filled(kwargs[part], ids)
        return {"method": self.method, "url": _filled(self.path, ids), **kwargs}


def _filled(value: Any, ids: Mapping[str, str]) -> Any:
    for name, file_id in ids.items():
        if isinstance(value, str):
            value = value.replace(f"{{{name}}}", file_id)
        elif isinstance(value, bytes):
            value = value.replace(f"{{{name}}}".encode(), file_id.encode())
    if isinstance(value, dict):
        return {key: _filled(entry, ids) for key, entry in value.items()}
    return [_filled(entry, ids) for entry in value] if isinstance(value, list) else value


def _file(name: str, make: Make, status: int, code: str, says: str) -> BadInput:
    def kwargs() -> dict[str, Any]:
        return {"files": {"file": ("picture.png", make())}}

    return BadInput(name=name, path="/v1/files", kwargs=kwargs, status=status, code=code, says=says)


def _click(name: str, prompts: str, code: str, says: str) -> BadInput:
    """Prompts as JSON text, where NaN may occur, on the photo."""
    body = f'{{"image": "{{image}}", "prompts": {prompts}}}'.encode()
    return BadInput(
        name=name,
        path="/v1/masks",
        kwargs=lambda: {"content": body, "headers": {"Content-Type": "application/json"}},
        uploads={"image": odd.photo},
        status=422,
        code=code,
        says=says,
    )


def _everything(name: str, image: str, status: int, code: str, says: str) -> BadInput:
    body = {"image": image, "everything": True}
    return BadInput(
        name=name,
        path="/v1/masks",
        kwargs=lambda: {"json": body},
        status=status,
        code=code,
        says=says,
    )


def _job(
    name: str, fields: dict[str, Any], status: int, code: str, says: str, **uploads: Make
) -> BadInput:
    body = {"task": "generate", "prompt": "a cat", **fields}
    return BadInput(
        name=name,
        path="/v1/jobs",
        kwargs=lambda: {"json": body, "headers": {"Prefer": "wait=60"}},
        uploads=uploads,
        status=status,
        code=code,
        says=says,
    )


def _invalid(name: str, fields: dict[str, Any], says: str) -> BadInput:
    return _job(name, fields, 422, "validation_failed", says)


def _masked(name: str, mask: Make, code: str, says: str) -> BadInput:
    fields = {"task": "inpaint", "image": "{image}", "mask": "{mask}"}
    return _job(name, fields, 400, code, says, image=odd.photo, mask=mask)


def _raw(
    name: str, body: Make, status: int, code: str, says: str, *, kind: str = "application/json"
) -> BadInput:
    return BadInput(
        name=name,
        path="/v1/jobs",
        kwargs=lambda: {"content": body(), "headers": {"Content-Type": kind}},
        status=status,
        code=code,
        says=says,
    )


def _read(name: str, path: str, status: int, code: str, says: str) -> BadInput:
    return BadInput(name=name, method="GET", path=path, status=status, code=code, says=says)


_UNKNOWN = "file_" + "0" * 40
_TEXT_URL = "data:image/png;base64," + base64.b64encode(b"hello").decode()
_UNREADABLE, _TOO_LARGE, _SMALL = "image_unreadable", "image_too_large", "image_too_small"
_FORMAT, _INVALID, _UNSUPPORTED = "unsupported_format", "invalid_request", "unsupported_value"
_WRONG, _ABSENT = "validation_failed", "not_found"
_SIZE = '"width":200,"height":160'

_FILES = [
    _file("empty file", bytes, 400, _UNREADABLE, "0 bytes"),
    _file("PNG signature alone", lambda: odd.photo()[:8], 400, _UNREADABLE, "cannot be decoded"),
    _file("truncated PNG", lambda: odd.photo()[:9000], 400, _UNREADABLE, "cut short"),
    _file("truncated JPEG", lambda: odd.jpeg()[:3000], 400, _UNREADABLE, "cut short"),
    _file("text named png", lambda: b"I am not a picture.", 415, _FORMAT, "must be one of png"),
    _file("SVG", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, _FORMAT, "<svg"),
    _file("PDF", lambda: b"%PDF-1.7", 415, _FORMAT, "%PDF"),
    _file("PNG of 0 x 0", lambda: png(0, 0), 400, _UNREADABLE, "cannot be decoded"),
    _file("1 x 1", odd.grey(9, 1, 1), 400, _SMALL, "it is 1 x 1"),
    _file("thread of 400 x 4", odd.grey(9, 400, 4), 400, "image_aspect", "50 times the shorter"),
    _file("header of 30000 x 30000", lambda: png(30_000, 30_000), 413, _TOO_LARGE, "30000 x 30000"),
    _file("header of 16000 x 16000", lambda: png(16_000, 16_000), 413, _TOO_LARGE, "256000000"),
    _file("CMYK JPEG", odd.cmyk, 201, "", _SIZE),
    _file("16-bit PNG", odd.with_16_bits, 201, "", _SIZE),
    _file("palette with alpha", odd.palette_with_alpha, 201, "", _SIZE),
    _file("EXIF-rotated JPEG", odd.sideways, 201, "", '"width":160,"height":200'),
    _file("animated GIF", odd.animation, 201, "", '"format":"gif"'),
    BadInput(
        name="no file part",
        path="/v1/files",
        kwargs=lambda: {"files": {"picture": b"x"}},
        status=422,
        code=_WRONG,
        says="/file: Field required",
    ),
    _read("unknown file", f"/v1/files/{_UNKNOWN}", 404, _ABSENT, "There is no file"),
    _read("malformed file id", "/v1/files/FILE_1/content", 404, _ABSENT, "no file 'FILE_1'"),
    _read("path as file id", "/v1/files/..%2f..%2fetc%2fpasswd", 404, _ABSENT, "Not Found"),
]

_MASKS = [
    _click("point outside", '[{"points": [[200, 3]]}]', "point_outside", "x < 200"),
    _click("negative point", '[{"points": [[-1, 3]]}]', "point_outside", "(-1, 3)"),
    _click("point at NaN", '[{"points": [[NaN, 3]]}]', "point_outside", "(nan, 3)"),
    _click("infinite box", '[{"box": [0, 0, Infinity, 9]}]', "box_outside", "inf"),
    _click("box of NaN", '[{"box": [NaN, 0, 9, 9]}]', "box_outside", "nan"),
    _click("reversed box", '[{"box": [90, 9, 9, 90]}]', "box_empty", "x0 < x1"),
    _click("box outside", '[{"box": [0, 0, 201, 9]}]', "box_outside", "x <= 200"),
    _click("point of 3 numbers", '[{"points": [[1, 2, 3]]}]', _WRONG, "/prompts/0/points/0"),
    _click("point in words", '[{"points": [["a", 2]]}]', _WRONG, "/prompts/0/points/0/0"),
    _click(
        "more labels than points",
        '[{"points": [[1, 1]], "labels": [1, 0]}]',
        "labels_mismatch",
        "1 points and 2 labels",
    ),
    _click(
        "label 2", '[{"points": [[1, 1]], "labels": [2]}]', _WRONG, "/prompts/0/labels/0: Input"
    ),
    _click(
        "negative points alone",
        '[{"points": [[1, 1]], "labels": [0]}]',
        "prompt_empty",
        "label 1; got 0 of 1",
    ),
    _click("no prompts", "[]", _WRONG, "everything: true"),
    _click("prompt that says nothing", "[{}]", "prompt_empty", "At least 1 of points"),
    _click("misspelt field of a prompt", '[{"point": [1, 1]}]', _WRONG, "/prompts/0/point: Extra"),
    _click("unknown output", '[{"points": [[1, 1]]}], "output": "gif"', _WRONG, "/output"),
    _click("stroke outside", '[{"scribble": [[1, 1], [200, 5]]}]', "point_outside", "x < 200"),
    _click("empty stroke", '[{"scribble": [[]]}]', "scribble_empty", "no points"),
    _click("wide brush", '[{"scribble": [[1, 1]], "scribble_width": 300}]', _WRONG, "256"),
    _click("border too far", '[{"auto": true}], "ops": [{"border_adjustment": 11}]', _WRONG, "10"),
    _click("two in one", '[{"auto": true}], "ops": [{"grow": 1, "shrink": 1}]', _WRONG, "has 2"),
    _click(
        "hard after soft",
        '[{"auto": true}], "ops": [{"feather": 3}, {"grow": 1}]',
        "ops_order",
        "followed by grow",
    ),
    _everything("mask on an unknown file", _UNKNOWN, 404, _ABSENT, "There is no file"),
    _everything("bad base64", "data:image/png;base64,%%%", 400, _UNREADABLE, "valid base64"),
    _everything("data URL without base64", "data:image/png,a", 400, _UNREADABLE, ";base64,"),
    _everything("data URL of text", _TEXT_URL, 415, _FORMAT, "hello"),
    _everything("blob URL", "blob:http://localhost:3000/1", 404, _ABSENT, "blob:http://localhost"),
]

_JOBS = [
    _masked("mask of another shape", odd.grey(255, 100, 90), "mask_size", "200 x 160"),
    _masked("empty mask", odd.grey(0), "mask_empty", "at least 1 pixel"),
    _masked("full mask", odd.grey(255), "mask_full", "all 32000"),
    _job("edit without an image", {"task": "edit"}, 400, _INVALID, "Task edit needs image"),
    _job(
        "inpaint without a mask",
        {"task": "inpaint", "image": "{image}"},
        400,
        _INVALID,
        "Task inpaint needs mask",
        image=odd.photo,
    ),
    _job(
        "mask prompt without an image",
        {"task": "inpaint", "mask": {"points": [[1, 1]]}},
        400,
        _INVALID,
        "A mask needs an image",
    ),
    _job(
        "generate with an image",
        {"image": "{image}"},
        400,
        _UNSUPPORTED,
        "Task generate takes no image",
        image=odd.photo,
    ),
    _job(
        "edit of an animated GIF",
        {"task": "edit", "image": "{image}"},
        200,
        "",
        "Only the first frame of the animation is used.",
        image=odd.animation,
    ),
    _job("job on an unknown file", {"task": "edit", "image": _UNKNOWN}, 404, _ABSENT, "no file"),
    _job("empty text prompt", {"prompt": " \n"}, 400, _INVALID, "needs a prompt"),
    _job("size out of step", {"size": "100x100"}, 400, "unsupported_size", "multiples of 16"),
    _job("size too large", {"size": "4096x4096"}, 400, "unsupported_size", "4194304"),
    _invalid("size in words", {"size": "large"}, "/size"),
    _invalid("unknown task", {"task": "paint"}, "/task"),
    _invalid("misspelt field", {"sede": 7}, "/sede: Extra inputs"),
    _invalid("no steps", {"num_inference_steps": 0}, "greater than or equal to 1"),
    _invalid("1000 steps", {"num_inference_steps": 1000}, "less than or equal to 100"),
    _invalid("negative seed", {"seed": -1}, "/seed"),
    _invalid("seed over 63 bits", {"seed": 2**63}, "/seed"),
    _invalid("no pictures", {"n": 0}, "/n: "),
    _invalid("unknown priority", {"priority": "urgent"}, "/priority"),
    _invalid("unknown determinism", {"determinism": "yes"}, "/determinism"),
    _invalid("deadline of no time", {"deadline_s": 0}, "/deadline_s: Input should be greater"),
    _invalid("deadline of two days", {"deadline_s": 172_800}, "less than or equal to 86400"),
    _invalid("deadline in words", {"deadline_s": "soon"}, "/deadline_s"),
    _read("unknown job", "/v1/jobs/job_0", 404, _ABSENT, "no job 'job_0'"),
    _read("events of an unknown job", "/v1/jobs/job_0/events", 404, _ABSENT, "no job 'job_0'"),
    _read("page after an unknown job", "/v1/jobs?after=job_0", 404, _ABSENT, "no job 'job_0'"),
    _read("page of 1000", "/v1/jobs?limit=1000", 422, _WRONG, "/limit"),
    _read("list of an unknown status", "/v1/jobs?status=done", 422, _WRONG, "/status"),
]

_NAN = b'{"task": "generate", "prompt": "a cat", "true_cfg_scale": NaN}'
_DIGITS = b'{"task": "generate", "prompt": "a cat", "seed": ' + b"9" * 5000 + b"}"
_SURROGATE = b'{"task": "generate", "prompt": "\\ud800"}'

_BODIES = [
    _read("unknown route", "/v1/nothing", 404, _ABSENT, "Not Found"),
    _read("wrong method", "/v1/masks", 405, "method_not_allowed", "Method Not Allowed"),
    _raw("broken JSON", lambda: b'{"task": ', 400, _INVALID, "not valid JSON"),
    _raw("JSON in Latin-1", lambda: b'{"prompt": "\xe9"}', 400, _INVALID, "not valid JSON"),
    _raw("JSON 100000 deep", lambda: b"[" * 100_000, 400, _INVALID, "not valid JSON"),
    _raw("number of 5000 digits", lambda: _DIGITS, 400, _INVALID, "not valid JSON"),
    _raw("JSON that is a list", lambda: b"[]", 422, _WRONG, "valid dictionary"),
    _raw("guidance of NaN", lambda: _NAN, 422, _WRONG, "/true_cfg_scale"),
    _raw("half a surrogate", lambda: _SURROGATE, 422, _WRONG, "/prompt"),
    _raw("wrong content type", lambda: b"a: 1", 415, _FORMAT, "text/yaml", kind="text/yaml"),
    _raw("no boundary", lambda: b"--x--", 400, _INVALID, "boundary", kind="multipart/form-data"),
    _raw("body over the limit", lambda: bytes(64 * 2**20 + 1), 413, _TOO_LARGE, "limit of"),
]

BAD_INPUTS = [*_FILES, *_MASKS, *_JOBS, *_BODIES]
