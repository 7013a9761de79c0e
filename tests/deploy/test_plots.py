"""Pictures of results: what falls and success are drawn from, and what is on the axes."""

from __future__ import annotations

import sys

import pytest

from legged_cts.deploy.plots import draw_results, fallen_by, success_by_ground


def answer(command: list[float], achieved: list[float | None], fell: float = 0.0) -> dict:
    return {"command": command, "achieved": achieved, "fell": fell}


def episode(duration: float, falls: float) -> dict:
    return {"duration": duration, "fall": falls}


EPISODES = [episode(20.0, 0.0), episode(5.0, 1.0), episode(2.0, 1.0), episode(3.0, 0.0)]
ROWS = [
    {"role": "student", "terrain": "all", "level": "all", "metric": "fall", "mean": 0.5},
    {"role": "student", "terrain": "slopes", "level": "all", "metric": "fall", "mean": 0.3},
    {"role": "student", "terrain": "slopes", "level": "0", "metric": "fall", "mean": 0.25, "episodes": 4},
    {"role": "student", "terrain": "slopes", "level": "10", "metric": "fall", "mean": 1.0, "episodes": 3},
    {"role": "student", "terrain": "slopes", "level": "2", "metric": "fall", "mean": None},
    {"role": "student", "terrain": "slopes", "level": "0", "metric": "slip", "mean": 0.1},
]


@pytest.fixture
def drawn(monkeypatch):
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **kwargs: figures.append(figure))
    return figures


def titles(figure) -> list[str]:
    return [axis.get_title() for part in figure.subfigs for axis in part.get_axes()]


def test_falls_by_hand():
    assert fallen_by(EPISODES) == ([2.0, 5.0], [0.25, 0.5])
    assert fallen_by(EPISODES[:1]) == ([], [])


def test_success_by_kind_and_level():
    assert success_by_ground(ROWS) == {"student": {("slopes", 0): (3, 4), ("slopes", 10): (0, 3)}}


def test_commanded_against_achieved_of_each_axis_with_standing(tmp_path, drawn):
    answers = [
        answer([0.0, 0.0, 0.0], [0.01, -0.02, 0.03]),
        answer([0.5, 0.0, 0.0], [0.4, 9.0, 9.0]),
        answer([1.0, 0.0, 0.0], [None, None, None], fell=1.0),
        answer([0.0, 0.0, 1.0], [9.0, 9.0, 0.9]),
    ]
    assert draw_results({"response": answers, "episodes": EPISODES, "duration": 20.0}, tmp_path / "a.png")
    (figure,) = drawn
    assert titles(figure) == ["ahead", "aside", "turn", "fallen until then"]
    ahead, aside, turn, falls = figure.subfigs[0].get_axes()
    lines = {line.get_label(): line for line in ahead.lines}
    assert lines["policy"].get_xydata().tolist() == [[0.0, 0.01], [0.5, 0.4]]
    assert lines["some fell"].get_xydata().tolist() == [[1.0, 0.0]]
    assert lines["as told"].get_xydata().tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert aside.lines[0].get_xydata().tolist() == [[0.0, -0.02]]
    assert turn.lines[0].get_xydata().tolist() == [[0.0, 0.03], [1.0, 0.9]]
    assert falls.lines[0].get_label() == "policy: 2 of 4"
    assert falls.lines[0].get_xydata().tolist() == [[0.0, 0.0], [2.0, 0.25], [5.0, 0.5], [20.0, 0.5]]


def test_a_map_of_each_role_on_rough_ground(tmp_path, drawn):
    results = {"episodes": {"student": EPISODES, "teacher": EPISODES}, "duration": 20.0, "rows": ROWS}
    assert draw_results(results, tmp_path / "a.png")
    assert titles(drawn[0]) == ["fallen until then", "student: episodes without a fall"]
    cells = drawn[0].subfigs[1].get_axes()[0]
    assert [text.get_text() for text in cells.texts] == ["3/4", "0/3"]
    assert [label.get_text() for label in cells.get_xticklabels()] == ["0", "10"]


def test_a_picture_is_written_and_nothing_is_drawn_of_nothing(tmp_path, monkeypatch):
    assert draw_results({"policy": "$a.onnx", "episodes": EPISODES, "rows": ROWS}, tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert not draw_results({}, tmp_path / "none.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    assert not draw_results({"episodes": EPISODES}, tmp_path / "none.png") and not (tmp_path / "none.png").exists()
