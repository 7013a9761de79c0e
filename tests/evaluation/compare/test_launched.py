"""Comparisons whose runs are jobs of one of Hydra's launchers: the same runs and table, interrupted and resumed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from stand_in import COMMANDS

from legged_cts.evaluation.compare.app import compare
from legged_cts.evaluation.compare.options import CompareOptions

LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=60"],
}


def write(path: Path, entropy: str = "0.02") -> Path:
    path.write_text(
        "common: [env.scene.num_envs=8, max_iterations=3, evaluation.episodes=5]\n"
        f"arms: {{a: [algorithm.entropy_coef=0.01], b: [algorithm.entropy_coef={entropy}]}}\n"
        "seeds: [1, 2]\nbaseline: a\nmetrics: {fall: lower, lin_error: lower}\n"
    )
    return path


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of all runs, without what differs by where and when they were made."""
    with (folder / "results.csv").open() as file:
        return [{key: value for key, value in row.items() if "folder" not in key} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The table of the comparison's own way to run them."""
    folder = tmp_path_factory.mktemp("own")
    assert compare(write(folder / "c.yaml"), CompareOptions(output=str(folder / "out")), COMMANDS) == 0
    return table(folder / "out")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_table_is_the_same_and_a_second_call_does_what_is_missing(launcher, own, tmp_path):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    path, folder = write(tmp_path / "c.yaml"), tmp_path / "out"
    options, words = CompareOptions(output=str(folder), jobs=2), LAUNCHERS[launcher]
    assert compare(path, options, COMMANDS, words) == 0
    assert table(folder) == own
    # As if it had been interrupted: one run half-way, one not measured.
    (folder / "b" / "1" / "model_3.pt").rename(folder / "b" / "1" / "model_2.pt")
    for name in ("a/2", "b/1"):
        (folder / name / "evaluation.csv").unlink()
    done = (folder / "calls.txt").read_text().splitlines()
    assert compare(path, options, COMMANDS, words) == 0
    later = (folder / "calls.txt").read_text().splitlines()[len(done) :]
    assert sorted(later) == ["evaluate a 2", "evaluate b 1", "resume b 1"]
    assert table(folder) == own
    assert compare(path, options, COMMANDS, words) == 0
    assert len((folder / "calls.txt").read_text().splitlines()) == len(done) + 3


def test_a_run_that_fails_is_named_and_the_others_are_measured(tmp_path, capsys):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    path, folder = write(tmp_path / "c.yaml", entropy="0.5"), tmp_path / "out"
    assert compare(path, CompareOptions(output=str(folder)), COMMANDS, LAUNCHERS["joblib"]) == 1
    assert "failed: b seed 1, b seed 2" in capsys.readouterr().out
    assert (folder / "a" / "2" / "evaluation.csv").is_file()
    assert "the reason of the failure" in (folder / "b" / "1" / "run.log").read_text()


@pytest.mark.parametrize(("word", "what"), [("hydra/launcher=nowhere", "nowhere"), ("hydra.launcher.n_job=2", "n_job")])
def test_a_launcher_that_is_none_is_one_line(word, what, tmp_path):
    with pytest.raises(ValueError, match=what):
        compare(write(tmp_path / "c.yaml"), CompareOptions(output=str(tmp_path / "out")), COMMANDS, [word])
