"""Curves on common axes."""

import pytest

from src.eval.learning_curves import as_html, draw_learning_curves


def points(drawn: str) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in drawn.split()]


def test_curves_share_axes_whose_ends_are_the_plots() -> None:
    curves = draw_learning_curves("recall@1", {"a": [[(1, 0.0), (5, 1.0)], [(1, 0.5)]], "b": [[(3, 0.25)], []]})
    assert curves is not None
    left, top, right, bottom = curves.plot
    assert [(line.contender, line.label) for line in curves.lines] == [(0, "a"), (0, "a"), (1, "b")]
    assert points(curves.lines[0].points) == [(left, bottom), (right, top)]
    assert points(curves.lines[1].points) == [(left, pytest.approx((top + bottom) / 2))]
    assert points(curves.lines[2].points) == [
        (pytest.approx((left + right) / 2), pytest.approx(bottom - (bottom - top) / 4, abs=0.1))
    ]
    assert (curves.lines[0].caption, curves.lines[0].best) == ("best 1.0000, epoch 5", (right, top))
    assert [label for _, label in curves.x_ticks] == ["1", "2", "3", "4", "5"]
    assert [label for _, label in curves.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


@pytest.mark.parametrize("run", [[(1, 0.3)], [(1, 0.3), (2, 0.3)], [(1, 0.0)], [(7, 1.0), (900, 1.0)], [(1, -0.2)]])
def test_what_does_not_vary_is_drawn_inside(run) -> None:
    curves = draw_learning_curves("recall@1", {"a": [run]})
    assert curves is not None
    left, top, right, bottom = curves.plot
    for x, y in points(curves.lines[0].points):
        assert left <= x <= right
        assert top <= y <= bottom
    assert len(curves.x_ticks) <= 12
    assert all(top - 0.1 <= y <= bottom + 0.1 for y, _ in curves.y_ticks)


def test_without_points_there_is_no_drawing() -> None:
    assert draw_learning_curves("recall@1", {}) is None
    assert draw_learning_curves("recall@1", {"a": [[]], "b": []}) is None


def test_the_drawing_names_its_lines_and_escapes_their_names() -> None:
    curves = draw_learning_curves("recall@1", {"a": [[]], "<b>": [[(1, 0.5), (2, 0.6)], [(1, 0.4)]]})
    assert curves is not None
    drawn = as_html(curves)
    assert drawn.count("<polyline") == 2
    assert drawn.count("<b>&lt;b&gt;</b>") == 1
