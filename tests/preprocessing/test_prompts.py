import numpy as np
import pytest

from export_scripts.demo_scenes import draw_scene
from preprocessing.errors import PromptRejectedError
from preprocessing.fastsam import instance_mask
from preprocessing.masks import bounding_box
from preprocessing.prompts import Prompt, rank
from preprocessing.strokes import draw_strokes
from tests.preprocessing.networks import known_instances, mask_iou

NAN = float("nan")


@pytest.mark.parametrize(
    ("prompt", "code", "words"),
    [
        (Prompt(), "prompt_empty", ["1", "0"]),
        (Prompt(points=((1, 1),), labels=(0,)), "prompt_empty", ["label 1", "0 of 1"]),
        (
            Prompt(scribble=np.ones((60, 99), bool)),
            "mask_size",
            ["scribble", "100 x 60", "99 x 60"],
        ),
        (Prompt(scribble=np.zeros((60, 100), bool)), "scribble_empty", ["scribble", "1 pixel"]),
        (Prompt(mask_hint=np.zeros((60, 100), bool)), "mask_hint_empty", ["mask_hint"]),
        (Prompt(points=((1, 1),)), "labels_mismatch", ["1 points", "0 labels"]),
        (Prompt(labels=(1,), box=(0, 0, 2, 2)), "labels_mismatch", ["0 points", "1 labels"]),
        (Prompt(points=((1, 1),), labels=(2,)), "labels_mismatch", ["0 or 1", "2"]),
        (Prompt(points=((100, 0),), labels=(1,)), "point_outside", ["x < 100", "(100, 0)"]),
        (Prompt(points=((0, 60),), labels=(1,)), "point_outside", ["y < 60", "(0, 60)"]),
        (Prompt(points=((1, 1), (-0.1, 0)), labels=(1, 0)), "point_outside", ["Point 1", "-0.1"]),
        (Prompt(points=((NAN, 0),), labels=(1,)), "point_outside", ["nan"]),
        (Prompt(box=(5, 5, 5, 9)), "box_empty", ["(5, 5, 5, 9)"]),
        (Prompt(box=(9, 5, 4, 9)), "box_empty", ["(9, 5, 4, 9)"]),
        (Prompt(box=(0, 0, 101, 9)), "box_outside", ["x <= 100", "101"]),
        (Prompt(box=(0, -1, 9, 9)), "box_outside", ["0 <=", "-1"]),
        (Prompt(box=(0, NAN, 9, 9)), "box_outside", ["nan"]),
    ],
)
def test_what_does_not_fit_is_refused(prompt, code, words):
    with pytest.raises(PromptRejectedError) as caught:
        prompt.check((100, 60))
    assert caught.value.code == code
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(points=((0, 0), (99.9, 59.9)), labels=(1, 0)),
        Prompt(box=(0, 0, 100, 60)),
        Prompt(points=((3, 3),), labels=(0,), box=(1, 1, 9, 9)),
    ],
)
def test_the_edge_is_allowed(prompt):
    prompt.check((100, 60))


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((200, 300), bool)
    mask[y0:y1, x0:x1] = True
    return mask


# 0 holds 1; 2 and 3 lie apart
MASKS = [
    rectangle(20, 20, 140, 180),
    rectangle(40, 60, 100, 120),
    rectangle(180, 20, 220, 180),
    rectangle(240, 100, 290, 180),
]
INSTANCES = known_instances(MASKS, [0.9, 0.8, 0.7, 0.6])


def chosen(prompt, instances=INSTANCES):
    prompt.check((300, 200))
    choices = rank(instances, prompt)
    scores = [choice.score for choice in choices]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    return [choice.index for choice in choices]


@pytest.mark.parametrize(
    ("points", "labels", "expected"),
    [
        ([(30, 30)], [1], [0]),
        ([(70, 90)], [1], [0, 1]),
        ([(70, 90), (30, 30)], [1, 0], [1]),
        ([(70, 90), (30, 30)], [1, 1], [0]),
        ([(200, 100)], [1], [2]),
        ([(160, 100)], [1], []),
        ([(200, 100), (200, 30)], [1, 0], []),
        ([(70, 90), (50, 70), (260, 150)], [1, 1, 1], [0, 1]),  # none holds all: the most count
        ([(200, 100), (260, 150)], [1, 1], [2, 3]),
        ([(70, 90), (260, 150), (30, 30)], [1, 1, 0], [1, 3]),
    ],
)
def test_points_choose(points, labels, expected):
    assert chosen(Prompt(tuple(points), tuple(labels))) == expected


def test_the_better_score_wins_among_nested():
    swapped = known_instances(MASKS[:2], [0.6, 0.9])
    best = chosen(Prompt(((70, 90),), (1,)), swapped)[0]
    assert mask_iou(instance_mask(swapped, best), MASKS[1]) > 0.95


def test_the_smaller_wins_a_tie():
    twins = known_instances([rectangle(20, 20, 140, 180), rectangle(36, 36, 116, 164)], [0.8, 0.8])
    assert chosen(Prompt(((70, 90),), (1,)), twins) == [1, 0]


def test_missing_points_lower_the_score():
    (all_in,) = rank(INSTANCES, Prompt(((200, 100),), (1,)))
    partly = rank(INSTANCES, Prompt(((200, 100), (5, 5)), (1, 1)))
    assert partly[0].score == pytest.approx(all_in.score / 2)


@pytest.mark.parametrize("index", range(4))
def test_a_box_chooses_what_fills_it(index):
    x0, y0, x1, y1 = bounding_box(MASKS[index])
    assert chosen(Prompt(box=(x0 - 4, y0 + 3, x1 - 2, y1 + 5)))[0] == index


def test_a_box_beats_the_networks_opinion():
    doubtful = known_instances(MASKS[:2], [0.95, 0.3])
    assert chosen(Prompt(box=(40, 60, 100, 120)), doubtful)[0] == 1


def test_a_box_around_nothing_chooses_nothing():
    assert chosen(Prompt(box=(145, 30, 175, 170))) == []
    assert chosen(Prompt(box=(0.2, 0.2, 0.4, 0.4))) == []


def test_points_and_box_combine():
    around_outer = (20, 20, 140, 180)
    assert chosen(Prompt(box=around_outer)) == [0, 1]
    assert chosen(Prompt(((30, 30),), (0,), around_outer)) == [1]
    assert chosen(Prompt(((30, 30),), (1,), around_outer)) == [0]
    assert chosen(Prompt(((200, 100),), (1,), around_outer)) == []


def test_the_box_fit_is_the_masks_iou():
    (choice,) = rank(INSTANCES, Prompt(box=(180, 20, 220, 100)))
    assert choice.score == pytest.approx(0.5 * (1 + 0.7) / 2, abs=0.03)


def test_the_box_fit_of_a_large_mask_is_sampled():
    large = np.zeros((1500, 2003), bool)
    large[101:1407, 203:1809] = True
    (choice,) = rank(known_instances([large], [1.0]), Prompt(box=(203, 101, 1809, 754)))
    assert choice.score == pytest.approx(0.5, abs=0.01)


def test_no_instances_no_choice():
    empty = known_instances(MASKS, [0.1, 0.1, 0.1, 0.1])
    assert rank(empty, Prompt(((1, 1),), (1,))) == []


@pytest.mark.parametrize("seed", [3, 11, 12])
def test_a_click_on_each_object_of_a_scene(seed):
    masks = draw_scene(seed).masks
    instances = known_instances(list(masks))
    for mask in masks:
        y, x = np.argwhere(mask)[mask.sum() // 2]
        best = rank(instances, Prompt(((float(x), float(y)),), (1,)))[0]
        assert mask_iou(instance_mask(instances, best.index), mask) > 0.8


def scribbled(*strokes, width=3):
    return Prompt(scribble=draw_strokes(strokes, width, (300, 200)))


def test_a_scribble_chooses_what_holds_most_of_it():
    assert chosen(scribbled([(200, 40), (200, 160)])) == [2]
    assert chosen(scribbled([(30, 30), (130, 170)]))[0] == 0


def test_a_scribble_is_more_than_its_middle():
    """The middle of an arc around object 1 lies on it, the arc on object 0."""
    arc = [(30, 50), (30, 140), (120, 140), (120, 50)]
    assert masks_at(np.mean(arc, 0)) == [0, 1]
    assert chosen(scribbled(arc)) == [0]


def masks_at(point):
    x, y = (int(v) for v in point)
    return [index for index, mask in enumerate(MASKS) if mask[y, x]]


def test_the_better_covered_instance_wins_a_scribble():
    assert chosen(scribbled([(185, 30), (185, 170), (270, 170)])) == [2, 3]


@pytest.mark.parametrize("index", range(4))
def test_a_rough_mask_chooses_its_object(index):
    rough = np.roll(MASKS[index], (3, -4), (0, 1))
    assert chosen(Prompt(mask_hint=rough))[0] == index


def test_auto_prefers_what_is_large_and_central():
    alone = [rectangle(100, 50, 200, 150), rectangle(0, 0, 100, 100), rectangle(140, 90, 160, 110)]
    instances = known_instances(alone, [0.8, 0.8, 0.8])
    assert chosen(Prompt(auto=True), instances)[0] == 0


def test_auto_does_not_take_the_whole_picture():
    instances = known_instances([rectangle(0, 0, 300, 200), MASKS[0]], [0.9, 0.9])
    assert chosen(Prompt(auto=True), instances) == [1]


def test_auto_and_a_scribble_combine():
    stroke = draw_strokes([[(250, 110), (280, 170)]], 3, (300, 200))
    assert chosen(Prompt(auto=True, scribble=stroke)) == [3]


def test_similarity_decides_where_there_is_a_text():
    likeness = np.array([0.05, 0.05, 0.8, 0.1], np.float32)
    choices = rank(INSTANCES, Prompt(text="a bar"), similarity=likeness)
    assert [choice.index for choice in choices] == [2, 3, 0, 1]
