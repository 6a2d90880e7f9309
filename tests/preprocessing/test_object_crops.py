import numpy as np
import pytest

from preprocessing.object_crops import BACKGROUND, crop_objects, likeness
from tests.preprocessing.networks import known_instances


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((200, 300), bool)
    mask[y0:y1, x0:x1] = True
    return mask


INSTANCES = known_instances([rectangle(20, 20, 140, 180), rectangle(180, 60, 280, 80)], [0.9, 0.8])


def test_each_object_fills_its_square_alone():
    pixels = np.full((200, 300, 3), (0, 0, 255), np.uint8)
    pixels[60:80, 180:280] = (255, 0, 0)
    crops = crop_objects(pixels, INSTANCES, 32, 8)
    assert (crops.shape, crops.dtype) == ((2, 32, 32, 3), np.uint8)
    assert tuple(crops[0, 16, 16]) == (0, 0, 255)
    assert tuple(crops[0, 16, 1]) == BACKGROUND
    assert crops[1, 16, 16, 0] > 250
    assert tuple(crops[1, 2, 16]) == BACKGROUND
    assert crops[1, 16, 2, 0] > 150


def test_only_as_many_as_asked():
    crops = crop_objects(np.zeros((200, 300, 3), np.uint8), INSTANCES, 16, 1)
    assert crops.shape == (1, 16, 16, 3)


def test_likeness_adds_up_and_prefers_the_nearest():
    objects = np.eye(3, dtype=np.float32)
    text = np.array([0.6, 0.8, 0], np.float32)
    shares = likeness(text, objects)
    assert shares.sum() == pytest.approx(1)
    assert shares.argmax() == 1
