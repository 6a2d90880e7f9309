"""The peers' two ways of working on pictures find the same object."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.peers.codecs import CODECS, TUTORIAL
from benchmarks.peers.segmenter import Segmenter
from benchmarks.peers.tutorial_segmenter import TutorialSegmenter, open_segmenter
from export_scripts.demo_scenes import draw_scene
from preprocessing.arrays import Mask
from preprocessing.codec import decode_mask, encode_jpeg


# NumPy looks at denormals, which a session of ONNX Runtime makes zero in its thread.
@pytest.mark.filterwarnings("ignore:The value of the smallest subnormal:UserWarning")
def test_tutorial_codecs_find_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = draw_scene(5, 512)
    whole = max(scene.masks, key=lambda mask: mask.sum())
    y, x = (int(np.median(axis)) for axis in np.nonzero(whole))
    jpeg = encode_jpeg(scene.image)

    def mask_by(codecs: str) -> tuple[type[Segmenter], Mask]:
        monkeypatch.setenv(CODECS, codecs)
        segmenter = open_segmenter()
        return type(segmenter), decode_mask(segmenter.mask(jpeg, (x, y))) > 127

    # In a thread of its own: denormals stay zero where a session was opened.
    with ThreadPoolExecutor(1) as thread:
        (our_kind, one), (their_kind, other) = thread.map(mask_by, ("", TUTORIAL))
    assert (our_kind, their_kind) == (Segmenter, TutorialSegmenter)
    assert (one & other).sum() >= 0.95 * (one | other).sum() > 0
