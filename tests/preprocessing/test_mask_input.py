import numpy as np
import pytest

from preprocessing.errors import RejectedError
from preprocessing.mask_input import MaskSemantics, read_mask
from tests.mask_encodings import HEIGHT, MASK, MASK_FILES, SOFT, WHITE, WIDTH, MaskFile
from tests.preprocessing.pictures import encode


def test_there_are_sixty_files_with_names_of_their_own():
    assert len(MASK_FILES) >= 60
    assert len({case.name for case in MASK_FILES}) == len(MASK_FILES)


@pytest.mark.parametrize("case", MASK_FILES, ids=lambda case: case.name)
def test_every_encoding_is_read_as_what_it_means(case: MaskFile):
    if case.error:
        with pytest.raises(RejectedError) as caught:
            read_mask(case.make(), (WIDTH, HEIGHT), semantics=case.semantics)
        assert caught.value.code == case.error
        return
    read = read_mask(case.make(), (WIDTH, HEIGHT), semantics=case.semantics)
    wanted = SOFT >= 128 if case.soft else MASK
    assert np.count_nonzero(read.mask != wanted) <= case.slack
    assert read.polarity == (case.polarity or case.semantics)
    assert (read.levels.shape, read.levels.dtype) == ((HEIGHT, WIDTH), np.uint8)
    assert [case.warns in warning for warning in read.warnings] == ([True] if case.warns else [])
    if not case.slack:
        assert read.coverage == pytest.approx(wanted.mean())
        assert read.box == (20, 8 if case.soft else 10, 55, 34)
    if case.soft:
        np.testing.assert_array_equal(read.levels, SOFT)
        assert read.is_soft


def test_hard_masks_are_not_called_soft():
    assert not read_mask(encode(WHITE, "PNG"), (WIDTH, HEIGHT)).is_soft


def test_the_sentences_name_limit_and_actual():
    for size_wh, words in (((80, 80), "80 x 80"), ((20, 12), "resized from 80 x 48 to 20 x 12")):
        try:
            said = read_mask(encode(WHITE, "PNG"), size_wh).warnings[0]
        except RejectedError as error:
            said = error.message
        assert words in said
        assert "80 x 48" in said


def test_auto_takes_a_blank_alpha_channel_for_none():
    blank = np.dstack([WHITE, WHITE, WHITE, np.full_like(WHITE, 255)])
    read = read_mask(encode(blank, "PNG"), (WIDTH, HEIGHT), semantics=MaskSemantics.AUTO)
    assert read.polarity is MaskSemantics.WHITE
