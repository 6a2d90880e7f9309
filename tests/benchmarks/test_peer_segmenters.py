"""The peers' two ways of working on pictures find the same object."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers.codecs import CODECS, TUTORIAL
from benchmarks.peers.segmenter import Segmenter
from benchmarks.peers.tutorial_segmenter import TutorialSegmenter, open_segmenter
from export_scripts.demo_scenes import draw_scene
from preprocessing.codec import decode_mask, encode_jpeg


def test_tutorial_codecs_find_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = draw_scene(5, 512)
    whole = max(scene.masks, key=lambda mask: mask.sum())
    y, x = (int(np.median(axis)) for axis in np.nonzero(whole))
    jpeg = encode_jpeg(scene.image)
    monkeypatch.setenv(CODECS, TUTORIAL)
    theirs = open_segmenter()
    assert isinstance(theirs, TutorialSegmenter)
    monkeypatch.delenv(CODECS)
    ours = open_segmenter()
    assert type(ours) is Segmenter
    one, other = (decode_mask(s.mask(jpeg, (x, y))) > 127 for s in (ours, theirs))
    assert (one & other).sum() >= 0.95 * (one | other).sum() > 0
