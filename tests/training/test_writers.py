"""Columns that come later, and the pages that TensorBoard shows."""

import csv
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from legged_cts.training.panels import PAGES
from legged_cts.training.writers import CsvWriter, TensorBoardWriter, check_wandb


def lines(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_metric_that_comes_later_gets_a_column(tmp_path):
    path = tmp_path / "metrics.csv"
    writer = CsvWriter(path, 0)
    writer.write({"a": 1.0, "b": math.nan}, 1)
    writer.write({"a": 2.0, "faults/nan_state": 3.0}, 2)
    writer.write({"b": 0.5}, 3)
    writer.close()
    assert list(lines(path)[0]) == ["iteration", "a", "b", "faults/nan_state"]
    assert [list(line.values()) for line in lines(path)] == [
        ["1", "1", "", ""], ["2", "2", "", "3"], ["3", "", "0.5", ""],
    ]  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_run_of_an_older_version_goes_on_with_new_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("iteration,a\n1,1\n2,2\n3,9\n")
    writer = CsvWriter(path, 2)
    writer.write({"a": 3.0, "latent/error": 0.25}, 3)
    writer.close()
    assert [list(line.values()) for line in lines(path)] == [["1", "1", ""], ["2", "2", ""], ["3", "3", "0.25"]]


def test_tensorboard_gets_the_pages(tmp_path):
    writer = TensorBoardWriter(tmp_path, 0)
    scalars = {
        "student/return": 1.0, "teacher/return": 2.0, "latent/error/level_3": 0.5, "latent/error/slopes": 0.25,
        "student/terrain_level": 4.0, "student/terrain_level/slopes": 5.0,
    }  # fmt: skip
    writer.write(scalars, 7)
    writer.close()
    events = EventAccumulator(str(tmp_path), STORE_EVERYTHING_SIZE_GUIDANCE)
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(scalars)
    (stored,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout()
    layout.ParseFromString(stored.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == list(PAGES)
    charts = {chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart}
    assert charts["episode return [return]"] == ["student/return$", "teacher/return$"]
    shown = {title: _matched(tags, scalars) for title, tags in charts.items()}
    assert shown["latent error by terrain level [|z_s - z_t|^2]"] == {"latent/error/level_3"}
    assert shown["latent error by kind of terrain [|z_s - z_t|^2]"] == {"latent/error/slopes"}
    assert shown["latent error of students [|z_s - z_t|^2]"] == set()
    assert shown["students' terrain level [level]"] == {"student/terrain_level", "student/terrain_level/slopes"}


def test_a_resumed_run_has_the_pages_too(tmp_path):
    for start in (0, 5):
        TensorBoardWriter(tmp_path, start).close()
    for file in tmp_path.iterdir():
        events = EventAccumulator(str(file), STORE_EVERYTHING_SIZE_GUIDANCE)
        events.Reload()
        assert events.Tags()["tensors"] == ["custom_scalars__config__"]


def _matched(patterns, tags):
    """The tags of a chart, found as TensorBoard's plugin does."""
    import re

    return {tag for tag in tags for pattern in patterns if re.compile(pattern).match(tag)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "does not begin with the column 'iteration'"),
        ("iteration;b\n1;2\n", "does not begin with the column 'iteration'"),
        ("iteration,b\n1,2,3\n", "row 2 has more cells than the first"),
        ("iteration,b,b\n1,2,3\n", "a column is there twice"),
        ('iteration,b\n1,"' + "x" * 200_000 + '"\n', "is no table: field larger"),
    ],
)
def test_a_table_that_a_run_cannot_go_on_with_is_one_line(tmp_path, text, message):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        CsvWriter(path, 5)
    assert path.read_text() == text


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("\ufeffiteration,b\n1,2\n")
    writer = CsvWriter(path, 5)
    writer.write({"b": 3.0}, 2)
    writer.close()
    assert path.read_text().splitlines() == ["iteration,b", "1,2", "2,3"]


def test_wandb_without_a_key_is_refused_before_anything_starts(monkeypatch, tmp_path):
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(type(wandb.api), "api_key", None)
    with pytest.raises(ValueError, match="logger=wandb: no API key .* WANDB_MODE=offline"):
        check_wandb()
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_wandb()
