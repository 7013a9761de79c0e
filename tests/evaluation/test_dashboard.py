"""The picture of diagnostics: what it reads, what it draws, and what it says."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from legged_cts.evaluation.dashboard import (
    METRICS_FILE,
    draw,
    metrics_path,
    parse_options,
    plot_dashboard,
    read_metrics,
    warnings_in,
)
from legged_cts.training.panels import PAGES

SCRIPT = Path(__file__).parents[2] / "scripts" / "dashboard.py"


def write_run(folder: Path, iterations: int = 60, **constants: float) -> Path:
    folder.mkdir(parents=True)
    metrics = {"student__return": 1.0, "teacher__return": 2.0, **constants}
    with (folder / METRICS_FILE).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["iteration", "total_steps", *(name.replace("__", "/") for name in metrics)])
        for i in range(1, iterations + 1):
            writer.writerow([i, 6144 * i, *metrics.values()])
    return folder


def test_metrics_of_a_running_training_are_read_without_the_row_that_is_being_written(tmp_path):
    file = write_run(tmp_path / "run", 3) / METRICS_FILE
    with file.open("a") as handle:
        handle.write("4,245")
    rows = read_metrics(file)
    assert [row["iteration"] for row in rows] == [1.0, 2.0, 3.0]
    assert rows[0]["gap/return"] == 1.0  # of an older run, which has no such column
    (tmp_path / "empty.csv").write_text("iteration,total_steps\n1,\n")
    assert read_metrics(tmp_path / "empty.csv") == [{"iteration": 1.0}]


@pytest.mark.parametrize("text", ["role,terrain\nstudent,flat\n", "iteration,a\n1,x\n", "iteration,a\n1,2,3\n"])
def test_other_tables_are_refused(tmp_path, text):
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(ValueError, match=r"other\.csv"):
        read_metrics(tmp_path / "other.csv")


def test_warnings_come_with_their_iteration(tmp_path):
    rows = read_metrics(write_run(tmp_path / "run", latent__dimension_student=1.0) / METRICS_FILE)
    ((iteration, text),) = warnings_in(rows)
    assert iteration == 50 and "collapsed" in text


def titles(figure) -> list[str]:
    parts = figure.subfigs
    axes = [axis for part in parts for axis in part.get_axes() if axis.axison]
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


def test_only_panels_with_something_to_show_are_drawn(tmp_path, drawn):
    assert draw([write_run(tmp_path / "run")]) == tmp_path / "run" / "diagnostics.png"
    assert (tmp_path / "run" / "diagnostics.png").read_bytes()[:4] == b"\x89PNG"
    assert titles(drawn[0]) == ["episode return", "return gap, teacher - student"]
    assert {file.name for file in (tmp_path / "run").iterdir()} == {METRICS_FILE, "diagnostics.png"}


def test_runs_differ_by_line_style_and_roles_by_colour_and_limits_are_shaded(tmp_path, drawn):
    runs = [write_run(tmp_path / name, policy__clip_fraction_teacher=0.2) for name in ("a", "b")]
    assert draw(runs, tmp_path / "new" / "both.png").is_file()
    first, *_, clipped = drawn[0].subfigs[0].get_axes()[:3]
    lines = [(line.get_color(), line.get_linestyle()) for line in first.lines if line.get_linewidth() > 1]
    assert lines == [("tab:blue", "-"), ("tab:blue", "--"), ("tab:orange", "-"), ("tab:orange", "--")]
    assert clipped.get_title() == "clipped samples" and len(clipped.patches) == 1
    assert clipped.patches[0].get_y() == 0.5 and clipped.get_ylim()[1] > 0.5
    assert [text.get_text() for text in drawn[0].subfigs[-1].legends[0].get_texts()] == ["a", "b"]


def test_every_panel_can_be_drawn(tmp_path, drawn):
    panels = [panel for page in PAGES.values() for panel in page]
    sample = {series.pattern.replace(r"\d+", "3").replace("(?!level_).+", "slopes").replace(".+", "slopes")
              for panel in panels for series in panel.series}  # fmt: skip
    rows = [{"iteration": float(i), **dict.fromkeys(sample, 0.5)} for i in range(1, 4)]
    plot_dashboard({"run": rows}, tmp_path / "all.png")
    assert titles(drawn[0]) == [panel.title for panel in panels]


def test_nothing_measured_yet_is_no_error(tmp_path):
    plot_dashboard({"run": []}, tmp_path / "none.png")
    assert (tmp_path / "none.png").is_file()


def test_words(tmp_path, monkeypatch):
    run = write_run(tmp_path / "date=1")  # Hydra's sweeps name folders so
    got = parse_options([str(run), "output=x.png", "--watch"])
    assert (got.runs, got.output, got.watch) == ((run,), Path("x.png"), True)
    for bad in (["otput=x.png", str(run)], ["--wacth"], ["output="]):
        with pytest.raises(ValueError, match="neither a run"):
            parse_options(bad)
    with pytest.raises(ValueError, match="give one run"):
        parse_options(["--watch"])
    with pytest.raises(FileNotFoundError, match="neither a run's folder"):
        metrics_path(tmp_path)
    with pytest.raises(ValueError, match="given twice"):
        draw([run, run / METRICS_FILE])


def test_script_draws_and_names_what_is_wrong(tmp_path):
    run = write_run(tmp_path / "run")
    done = subprocess.run([sys.executable, str(SCRIPT), str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == f"picture: {run / 'diagnostics.png'}\n"
    wrong = subprocess.run([sys.executable, str(SCRIPT), "nowhere"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: nowhere is neither a run's folder")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iteration,a\n,1\n", "row 2: iteration must be a whole number|no table of numbers"),
        ("iteration,a\n1,nan\n", "row 2: a must be a finite number"),
        ("iteration,a\n1,1e999\n", "row 2: a must be a finite number"),
        ("iteration,a\n1.5,1\n", "row 2: iteration must be a whole number"),
        ("iteration,a\n1,1,1\n", "is no table of numbers"),
        ('iteration,a\n1,"' + "x" * 200_000 + '"\n', "field larger than field limit"),
        ("iteration;a\n1;2\n", "no column 'iteration'"),
    ],
)
def test_a_malformed_table_is_one_line(tmp_path, text, message):
    path = tmp_path / METRICS_FILE
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_metrics(path)
