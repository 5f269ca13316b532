import numpy as np
import pytest

from src.search.box import WHOLE, Box


def test_box_cuts_its_part():
    pixels = np.arange(100 * 200 * 3).reshape(100, 200, 3)
    box = Box.parse("0.25,0.1,0.5,0.2")
    assert (box.cut(pixels) == pixels[10:30, 50:150]).all()
    assert (WHOLE.cut(pixels) == pixels).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("text", ["0,0,0.01,0.01", "0.99,0.99,0.01,0.01", "0.4,0.4,0.01,0.6", "0,0,1,1"])
def test_part_is_never_empty(shape, text):
    assert Box.parse(text).cut(np.zeros((*shape, 3))).size


def test_boxes_that_differ_by_less_than_a_pixel_are_one():
    assert Box.parse("0.1,0.2,0.3,0.4") == Box.parse(" 0.10000001, 2e-1,.3,0.40000001")
    assert str(Box.parse("-0.0,0.2,0.3,0.4")) == "0,0.2,0.3,0.4"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "four numbers"),
        ("1,2,3", "four numbers"),
        ("0,0,1,1,1", "four numbers"),
        ("a,b,c,d", "four numbers"),
        ("nan,0,1,1", "four numbers"),
        ("0,0,inf,1", "four numbers"),
        ("0,0,0.2_5,1", "four numbers"),
        ("0,0,\u0661,1", "four numbers"),
        ("0,0,1e999,1", "four numbers"),
        ("10,20,300,400", "within the picture"),
        ("-0.1,0,0.5,0.5", "within the picture"),
        ("0.6,0,0.5,0.5", "within the picture"),
        ("0,0.6,0.5,0.5", "within the picture"),
        ("0,0,0,1", "at least 0.01"),
        ("0,0,1,-1", "at least 0.01"),
    ],
)
def test_box_that_cannot_be_is_told_why(text, words):
    with pytest.raises(ValueError, match=words):
        Box.parse(text)
