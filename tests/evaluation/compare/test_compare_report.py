"""The report, from runs whose numbers are made up."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from legged_cts.evaluation.compare.comparison import Comparison, ComparisonError, parse_comparison
from legged_cts.evaluation.compare.plot import mean_curve
from legged_cts.evaluation.compare.report import budget_note, write_report
from legged_cts.evaluation.compare.results import evaluation_values, read_result
from legged_cts.evaluation.compare.runs import Run, write_record

METRICS = {"lin_error": "lower", "fall": "lower", "promoted": "higher", "trained_level": "higher"}
HEADER = ["role", "terrain", "level", "metric", "mean", "low", "high", "episodes", "seed", "robot", "task", "physics",
          "pushes_m_s", "policy"]  # fmt: skip


def comparison(seeds: int = 3, **metrics: str) -> Comparison:
    content = {
        "arms": {"a": ["x=1"], "b": ["x=2"], "c": ["x=3"]}, "seeds": list(range(1, seeds + 1)), "baseline": "a",
        "contrasts": [["a", "b"], ["a", "c"]], "metrics": metrics or METRICS,
    }  # fmt: skip
    return parse_comparison(content, "made_up")


def made(
    folder: Path, arm: str, seed: int, error: float, steps: int = 1000, physics: str = "mujoco_cpu", before=0
) -> Run:
    """A finished run on two kinds of terrain; its teacher's error is a tenth."""
    run = Run(arm, seed, folder / arm / str(seed), ("x=1",), (), 8, 20.0, 2, steps + before, before)
    write_record(run)
    (run.folder / "model_2.pt").touch()
    (run.folder / "metrics.csv").write_text(
        "iteration,total_steps,train_time_s,student/lin_error,student/terrain_level\n"
        f"1,{steps // 2},60,,\n2,{steps},120,{error},{seed}\n"
    )
    lines = []
    for role, factor in (("student", 1.0), ("teacher", 0.1)):
        for terrain, level, episodes, promoted in (
            ("all", "all", 8, 2), ("slopes", "all", 6, 2), ("slopes", "0", 4, 2), ("slopes", "1", 2, 0),
            ("flat", "all", 2, 0), ("flat", "1", 2, 0),
        ):  # fmt: skip
            at = error * factor * (2.0 if terrain == "flat" else 1.0)
            for metric, value, count in (
                ("lin_error", at, episodes),
                ("fall", 0.25, episodes),
                ("promoted_level", "", promoted),
            ):
                lines.append(
                    [role, terrain, level, metric, value, "", "", count, seed, "go2", "rough", physics, 0.4, "x"]
                )
    with (run.folder / "evaluation.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *lines])
    return run


def all_runs(folder: Path, seeds: int = 3, **changes) -> list[Run]:
    runs = []
    for seed in range(1, seeds + 1):
        errors = {"a": 0.1 + 0.01 * seed, "b": 0.2 + 0.01 * seed, "c": 0.1 + 0.01 * seed + 0.001 * (-1) ** seed}
        runs += [made(folder, arm, seed, error, **changes.get(arm, {})) for arm, error in errors.items()]
    return runs


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_a_run_left(tmp_path):
    got = read_result(made(tmp_path, "a", 3, 0.2, before=500))
    assert got.get("student", "lin_error") == 0.2 and got.get("teacher", "lin_error") == pytest.approx(0.02)
    assert got.get("student", "lin_error", "flat") == 0.4 and got.get("student", "promoted", "slopes", "0") == 0.5
    assert got.get("student", "promoted") == 0.25 and got.get("student", "promoted", "flat") == 0.0
    # Level 1: two episodes on slopes with 0.2, two on flat ground with 0.4.
    assert got.get("student", "lin_error", level="1") == pytest.approx(0.3)
    assert got.get("student", "lin_error", level="0") == 0.2
    assert got.get("student", "trained_level") == 3.0 and math.isnan(got.get("teacher", "trained_level"))
    assert (got.steps, got.minutes) == (1500, 2.0)
    assert got.curves["student/lin_error"] == [(1500.0, 0.2)]
    assert got.conditions == {"robot": "go2", "task": "rough", "physics": "mujoco_cpu", "pushes_m_s": "0.4"}


def test_promotion_means_something_on_uneven_ground_alone():
    line = dict.fromkeys(HEADER, "") | {"role": "student", "terrain": "all", "level": "all", "episodes": "4"}
    lines = [line | {"metric": "fall", "mean": "0.5"}, line | {"metric": "promoted_level", "episodes": "0"}]
    assert {value.metric for value in evaluation_values(lines)} == {"fall", "promoted_level"}


def test_the_whole_report(tmp_path, capsys):
    write_report(comparison(), all_runs(tmp_path), tmp_path)
    text = (tmp_path / "summary.md").read_text()
    assert text in capsys.readouterr().out
    assert "9 of 9 runs are finished." in text and "Partial" not in text and "Not comparable" not in text
    assert "| **a** (baseline) | 3 | 0.120 (0.110 .. 0.130) |" in text
    assert "| b | 3 | 0.220 (0.210 .. 0.230) |" in text
    teacher = text[text.index("## Teacher") : text.index("## Declared")]
    assert (
        "| **a** (baseline) | 3 | 0.012 (0.011 .. 0.013) | 0.250 (0.250 .. 0.250) | 0.250 (0.250 .. 0.250) | - |"
        in teacher
    )
    assert "| linear error [m/s] | a - b | -0.100 (-0.100 .. -0.100) | a | 3 | 0.250 | 0.500 |" in text
    assert "| flat | linear error [m/s] | 0.240 | 0.440 | 0.239 |" in text
    assert "Steps are equal within 1 %." in text and "it cannot be below 0.25" in text
    assert "No difference here can be significant at 5 %" in text and "IQM" not in text
    (row,) = [r for r in read(tmp_path / "contrasts.csv") if (r["metric"], r["b"]) == ("lin_error", "b")]
    assert (row["pairs"], row["p_sign_flip"], row["p_holm"], row["better"]) == ("3", "0.25", "0.5", "a")
    row = next(
        r for r in read(tmp_path / "summary.csv") if (r["role"], r["arm"], r["metric"]) == ("student", "b", "lin_error")
    )
    assert (row["seeds"], row["mean"], row["mean_low"], row["mean_high"]) == ("3", "0.22", "0.21", "0.23")
    rows = read(tmp_path / "results.csv")
    one = [r for r in rows if (r["arm"], r["seed"], r["role"], r["metric"]) == ("b", "2", "student", "lin_error")]
    assert {(r["terrain"], r["level"]): r["value"] for r in one} == {
        ("all", "all"): "0.22", ("slopes", "all"): "0.22", ("slopes", "0"): "0.22", ("slopes", "1"): "0.22",
        ("flat", "all"): "0.44", ("flat", "1"): "0.44", ("all", "0"): "0.22", ("all", "1"): "0.33",
    }  # fmt: skip
    assert (tmp_path / "summary.png").read_bytes()[:4] == b"\x89PNG"


def test_more_seeds_allow_more_claims(tmp_path):
    write_report(comparison(seeds=8), all_runs(tmp_path, seeds=8), tmp_path)
    text = (tmp_path / "summary.md").read_text()
    assert "cannot be below 0.00781" in text and "No difference here" not in text and "too narrow" not in text
    assert "; IQM 0.145 (" in text


def test_partial_results_are_marked(tmp_path):
    runs = all_runs(tmp_path)
    for run in runs[4:]:
        (run.folder / "evaluation.csv").unlink()
    write_report(comparison(), runs, tmp_path)
    text = (tmp_path / "summary.md").read_text()
    assert "**Partial result**: 4 of 9 runs are finished. Missing: b seed 2, c seed 2, a seed 3" in text
    assert "| a - b | -0.100 | a | 1 | 1.000 | 1.000 |" in text and "| b | 1 | 0.210 |" in text
    write_report(comparison(), [], tmp_path)
    assert "0 of 0 runs" in (tmp_path / "summary.md").read_text()


def test_what_is_not_equal_is_said(tmp_path):
    runs = all_runs(tmp_path, b={"steps": 1020}, c={"before": 30, "physics": "physx"})
    write_report(comparison(), runs, tmp_path)
    text = (tmp_path / "summary.md").read_text()
    assert "**Unequal steps: b 0.001 million, c 0.001 million, where a takes 0.001 million" in text
    assert "**Not comparable**: the runs were evaluated under different conditions" in text and "physx" in text
    one = comparison()
    assert budget_note(one, {"a": 1000, "b": 1010, "c": 990}) == ""
    assert "b 2.000 million, where a takes 1.000 million" in budget_note(one, {"a": 1e6, "b": 2e6, "c": 1e6})


def test_damaged_files_are_named(tmp_path):
    run = made(tmp_path, "a", 1, 0.1)
    (run.folder / "evaluation.csv").write_text("role\nstudent\n")
    with pytest.raises(ComparisonError, match="a/1/evaluation.csv: is damaged"):
        read_result(run)
    (run.folder / "metrics.csv").write_text("iteration,total_steps\n1,x\n")
    with pytest.raises(ComparisonError, match="a/1/metrics.csv: is damaged"):
        read_result(run)


def test_mean_curves_go_as_far_as_all_do():
    x, y = mean_curve([[(0.0, 0.0), (10.0, 10.0)], [(2.0, 2.0), (6.0, 10.0)]])
    assert (x[0], x[-1]) == (2.0, 6.0)
    np.testing.assert_allclose(y, (x + 2.0 * x - 2.0) / 2.0)
    assert len(mean_curve([])[0]) == 0 and len(mean_curve([[(0.0, 1.0)], [(1.0, 1.0)]])[0]) == 0
