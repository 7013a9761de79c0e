"""The pictures of a training: which panels, which lines, which colours."""

import pytest
from run_files import every_metric, write_run

from legged_cts.evaluation.dashboard import leave_drawings
from legged_cts.evaluation.picture import draw_picture
from legged_cts.evaluation.training_log import TrainingLog, read_logs
from legged_cts.training.panels import PAGES


def titles(figure) -> list[str]:
    axes = [axis for part in figure.subfigs for axis in part.get_axes() if axis.axison]
    return [axis.get_title() for axis in axes]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig

    def keep(figure, *args, **kwargs):
        figures.append(figure)
        save(figure, *args, **{**kwargs, "dpi": 20})

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_a_run_that_has_ended_holds_the_page_all_panels_and_the_first_page_of_them(tmp_path, drawn):
    run = write_run(tmp_path / "run")
    leave_drawings(run)
    names = {file.name for file in run.iterdir()}
    assert names == {"metrics.csv", "diagnostics.png", "learning.png", "dashboard.html"}
    assert (run / "learning.png").read_bytes()[:4] == b"\x89PNG"
    # Only panels with something to show are drawn.
    assert titles(drawn[0]) == ["episode return"]
    assert titles(drawn[1]) == ["episode return", "return gap, teacher - student"]


def test_runs_differ_by_line_style_and_roles_by_colour_and_limits_are_shaded(tmp_path, drawn):
    runs = [write_run(tmp_path / name, policy__clip_fraction_teacher=0.2) for name in ("a", "b")]
    draw_picture(read_logs(runs), tmp_path / "both.png")
    (first,), (*_, clipped) = (
        [axis for axis in part.get_axes() if axis.axison] for part in drawn[0].subfigs[:2]
    )  # fmt: skip
    lines = [(line.get_color(), line.get_linestyle()) for line in first.lines if line.get_linewidth() > 1]
    assert lines == [("#1f77b4", "-"), ("#1f77b4", "--"), ("#ff7f0e", "-"), ("#ff7f0e", "--")]
    assert clipped.get_title() == "clipped samples" and len(clipped.patches) == 1
    assert clipped.patches[0].get_y() == 0.5 and clipped.get_ylim()[1] > 0.5
    assert [text.get_text() for text in drawn[0].subfigs[-1].legends[0].get_texts()] == ["a", "b"]


def test_every_panel_can_be_drawn(tmp_path, drawn):
    draw_picture([TrainingLog("run", every_metric())], tmp_path / "all.png")
    assert titles(drawn[0]) == [panel.title for page in PAGES.values() for panel in page]


def test_parts_of_a_sum_lie_on_top_of_each_other_on_their_side_of_zero(tmp_path, drawn):
    terms = {"student/reward/track": 0.03, "student/reward/alive": 0.01, "student/reward/power": -0.02}
    rows = [{"iteration": float(i), **terms} for i in range(1, 4)]
    draw_picture([TrainingLog("run", rows)], tmp_path / "stack.png", ["Overview"])
    (axis,) = (axis for axis in drawn[0].subfigs[0].get_axes() if axis.axison)
    heights = [(area.get_label(), *area.get_paths()[0].get_extents().intervaly) for area in axis.collections]
    assert [name for name, *_ in heights] == ["track", "alive", "power"]
    assert [pair for _, *pair in heights] == [pytest.approx(pair) for pair in ([0, 0.03], [0.03, 0.04], [-0.02, 0])]
    # Of several runs they are lines, which can be told apart.
    draw_picture([TrainingLog("a", rows), TrainingLog("b", rows)], tmp_path / "lines.png", ["Overview"])
    (axis,) = (axis for axis in drawn[1].subfigs[0].get_axes() if axis.axison)
    assert len(axis.collections) == 0 and len(axis.lines) == 2 * 2 * 3


def test_a_line_stands_where_a_stage_acts(tmp_path, drawn):
    rows = [{"iteration": float(i), "student/return": 1.0, "stage": float(i > 2)} for i in range(1, 5)]
    draw_picture([TrainingLog("run", rows)], tmp_path / "stage.png", ["Overview"])
    (axis,) = (axis for axis in drawn[0].subfigs[0].get_axes() if axis.axison)
    assert list(axis.lines[-1].get_xdata()) == [3.0, 3.0]


def test_nothing_measured_yet_and_names_like_formulas_are_no_error(tmp_path):
    draw_picture([TrainingLog("run", [])], tmp_path / "none.png")
    rows = [{"iteration": 1.0, r"student/reward/$\frac$": 0.5, r"faults/$\x$": 1.0}]
    draw_picture([TrainingLog("$run$", rows)], tmp_path / "formula.png")
    assert (tmp_path / "none.png").is_file() and (tmp_path / "formula.png").is_file()
