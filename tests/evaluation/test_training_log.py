"""What a training logged: what is read of its folder, what it warns of, and when its stages acted."""

import math

import pytest
from run_files import METRICS, write_rows, write_run

from legged_cts.evaluation.training_log import TrainingLog, metrics_path, read_logs, read_metrics, smooth


def test_metrics_of_a_running_training_are_read_without_the_row_that_is_being_written(tmp_path):
    file = write_run(tmp_path / "run", 3) / METRICS
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
    path = tmp_path / METRICS
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_metrics(path)


def test_warnings_come_with_their_iteration(tmp_path):
    (log,) = read_logs([write_run(tmp_path / "run", latent__dimension_student=1.0)])
    ((iteration, text),) = log.warnings()
    assert iteration == 50 and "collapsed" in text


def test_steps_begin_where_the_training_before_ended(tmp_path):
    (log,) = read_logs([write_run(tmp_path / "run", 2)], previous_steps=1_000_000)
    assert log.million_steps() == pytest.approx([1.006144, 1.012288])
    assert TrainingLog("x", [{"iteration": 1.0}, {"iteration": 2.0}]).million_steps() == [1.0, 2.0]


def test_stages_have_their_names_from_the_configuration_and_a_number_without_one(tmp_path):
    run = write_rows(tmp_path / "run", [{"stage": count} for count in (0, 0, 1, 1, 3)])
    (log,) = read_logs([run])
    assert log.stages() == [(2, "stage 1"), (4, "stage 2"), (4, "stage 3")]
    (run / "config.yaml").write_text("robot: go2\nstages:\n  walks: {when: {}}\n  gone: null\n  runs: {when: {}}\n")
    (log,) = read_logs([run])
    assert log.stages() == [(2, "walks"), (4, "runs"), (4, "stage 3")]
    assert log.setting("robot") == "go2" and log.setting("stages") is None and log.setting("a.b") is None


def test_a_configuration_that_cannot_be_read_is_left_out(tmp_path):
    run = write_run(tmp_path / "run", 2)
    (run / "config.yaml").write_text("a: &x [1]\nb: *x\n")
    assert read_logs([run])[0].config == {}


def test_runs_have_as_much_of_their_path_as_tells_them_apart(tmp_path):
    runs = [write_run(tmp_path / name / "date", 1) for name in ("a", "b")]
    assert [log.name for log in read_logs(runs)] == ["a/date", "b/date"]
    assert read_logs(runs[:1])[0].name == "date"
    with pytest.raises(ValueError, match="given twice"):
        read_logs([runs[0], runs[0] / METRICS])
    with pytest.raises(FileNotFoundError, match="neither a run's folder"):
        metrics_path(tmp_path)


def test_the_newest_number_is_that_of_the_last_row_that_has_one():
    log = TrainingLog("x", [{"iteration": 1.0, "a": 3.0}, {"iteration": 2.0}])
    assert log.last("a") == 3.0 and log.last("b") is None
    assert log.values("a")[0] == 3.0 and math.isnan(log.values("a")[1])


def test_the_mean_is_centred_and_narrower_at_the_ends():
    values = [float(i % 2) for i in range(100)]
    # A fiftieth of 100 rows is two, one on either side: 0, 1, 0 and 1, 0, 1 in turn; at the end 0, 1.
    assert smooth(values)[1:4] == pytest.approx([1 / 3, 2 / 3, 1 / 3]) and smooth(values)[0] == 0.5
    assert smooth([5.0, 1.0]) == [5.0, 1.0]
