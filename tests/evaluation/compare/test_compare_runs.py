"""Runs of a comparison: their order, their state, what happens to those that fail or are interrupted."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import COMMANDS, FAKE

from legged_cts.evaluation.compare.app import compare
from legged_cts.evaluation.compare.comparison import Comparison, ComparisonError, parse_comparison
from legged_cts.evaluation.compare.jobs import lock, run_all, share_cores
from legged_cts.evaluation.compare.options import CompareOptions, split_words
from legged_cts.evaluation.compare.runs import check_record, checkpoints, plan
from legged_cts.training.checkpoint import save_checkpoint

COMMON = ["env.scene.num_envs=8", "max_iterations=3", "evaluation.episodes=5"]


def comparison(b: str = "0.02", seeds: tuple[int, ...] = (1, 2), common: tuple[str, ...] = ()) -> Comparison:
    arms = {"a": ["algorithm.entropy_coef=0.01"], "b": [f"algorithm.entropy_coef={b}"]}
    content = {
        "common": [*COMMON, *common], "arms": arms, "seeds": list(seeds), "baseline": "a", "metrics": {"fall": "lower"},
    }  # fmt: skip
    return parse_comparison(content, "test")


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().splitlines()


def run(compared: Comparison, folder: Path, jobs: int = 1):
    stream = io.StringIO()
    outcome = run_all(plan(compared, folder), jobs, COMMANDS, stream, poll_s=0.01)
    return outcome, stream.getvalue()


def test_runs_are_done_seed_by_seed_and_never_twice(tmp_path):
    outcome, text = run(comparison(), tmp_path)
    assert not outcome.failed and not outcome.stopped
    assert calls(tmp_path) == [f"{how} {arm} {seed}" for seed in "12" for arm in "ab" for how in ("train", "evaluate")]
    assert (tmp_path / "b" / "2" / "evaluation.csv").is_file()
    assert not (tmp_path / "b" / "2" / "unfinished_evaluation").exists()
    assert "[1/4] a seed 1: done in" in text and "eta" in text and "[4/4] b seed 2: done" in text
    outcome, text = run(comparison(), tmp_path)
    assert len(calls(tmp_path)) == 8 and "4 of 4 runs are there already" in text
    # A further seed needs its own runs alone.
    run(comparison(seeds=(1, 2, 3)), tmp_path)
    assert calls(tmp_path)[8:] == ["train a 3", "evaluate a 3", "train b 3", "evaluate b 3"]


def test_what_is_missing_is_done(tmp_path):
    run(comparison(), tmp_path)
    (tmp_path / "a" / "1" / "evaluation.csv").unlink()
    other = tmp_path / "b" / "1"
    (other / "evaluation.csv").unlink()
    (other / "model_3.pt").rename(other / "model_2.pt")
    # Killed before the first numbered checkpoint.
    early = tmp_path / "a" / "2"
    (early / "evaluation.csv").unlink()
    (early / "model_3.pt").rename(early / "best_student.pt")
    run(comparison(), tmp_path)
    assert calls(tmp_path)[8:] == ["evaluate a 1", "resume b 1", "evaluate b 1", "resume a 2", "evaluate a 2"]


def test_a_failed_run_is_reported_and_the_others_go_on(tmp_path):
    outcome, text = run(comparison(b="0.5", seeds=(1,)), tmp_path)
    assert [one.name for one in outcome.failed] == ["b seed 1"]
    assert "b seed 1: train ended with status 3" in text and "    the reason of the failure" in text
    assert (tmp_path / "a" / "1" / "evaluation.csv").is_file()


def test_a_training_that_ends_early_failed(tmp_path):
    outcome, text = run(comparison(b="0.25", seeds=(1,)), tmp_path)
    assert len(outcome.failed) == 1 and "train ended before it was done" in text
    assert not (tmp_path / "b" / "1" / "evaluation.csv").exists()


def test_every_job_has_cores_of_its_own(tmp_path):
    have = sorted(os.sched_getaffinity(0))
    run(comparison(seeds=(1,)), tmp_path, jobs=min(2, len(have)))
    first = (tmp_path / "a" / "1" / "run.log").read_text()
    threads = len(have) // min(2, len(have))
    assert f"a line of the log {threads} {have[:threads]}" in first and f"solver.threads={threads}" in first
    assert share_cores([0, 1, 2, 3, 4], 2) == [[0, 1], [2, 3]] and share_cores([3, 5], 2) == [[3], [5]]
    for jobs, message in [(0, "at least 1"), (3, "at most jobs=2")]:
        with pytest.raises(ComparisonError, match=message):
            share_cores([0, 1], jobs)


def test_other_overrides_than_a_runs_are_an_error(tmp_path):
    run(comparison(seeds=(1,)), tmp_path)
    for other in (comparison(b="0.03", seeds=(1,)), comparison(seeds=(1,), common=("algorithm.gamma=0.9",))):
        with pytest.raises(ComparisonError, match=r"/[ab]/1 .* was made with algorithm\.\w+=.*; give another output="):
            run(other, tmp_path)
    assert len(calls(tmp_path)) == 4
    (tmp_path / "a" / "1" / "run.yaml").unlink()
    with pytest.raises(ComparisonError, match="holds a run that no comparison made"):
        check_record(plan(comparison(seeds=(1,)), tmp_path)[0])


def test_wrong_overrides_show_before_anything_runs(tmp_path):
    arms = {"a": ["algorithm.entropy_coef=0.01"], "b": ["algorithm.no_such_key=1"]}
    content = {"arms": arms, "seeds": [1], "baseline": "a", "metrics": {"fall": "lower"}}
    with pytest.raises(ComparisonError, match="arms.b: .*no_such_key"):
        plan(parse_comparison(content, "test"), tmp_path)
    content["arms"] = {"a": ["checkpoint=no/where"]}
    with pytest.raises(ComparisonError, match="arms.a: checkpoint: there is no file or run folder no/where"):
        plan(parse_comparison(content, "test"), tmp_path)


def test_an_arm_replaces_a_common_override_and_pays_for_its_checkpoint(tmp_path):
    for seed in (1, 2):
        content = {"config": {}, "env_info": {}, "iter": 1, "total_steps": 1000 * seed, "actor_state_dict": {}}
        save_checkpoint(tmp_path / str(seed) / "model_1.pt", content)
    arms = {"a": ["terrain=flat"], "b": ["max_iterations=2", f"checkpoint={tmp_path}/${{seed}}"]}
    content = {
        "common": [*COMMON, "terrain=rough"], "arms": arms, "seeds": [1, 2], "baseline": "a",
        "metrics": {"fall": "lower"},
    }  # fmt: skip
    runs = plan(parse_comparison(content, "test"), tmp_path / "out")
    assert [one.name for one in runs] == ["a seed 1", "b seed 1", "a seed 2", "b seed 2"]
    assert "terrain=flat" in runs[0].overrides and "terrain=rough" not in runs[0].overrides
    assert [one.checkpoint_steps for one in runs] == [0, 1000, 0, 2000]
    assert [one.planned_steps for one in runs] == [576, 384 + 1000, 576, 384 + 2000]
    nested = {"checkpoint": None, "algorithm": {"teacher_checkpoint": "x.pt", "checkpoints": "y"}}
    assert checkpoints(nested) == ["x.pt"]


def test_two_comparisons_do_not_share_a_folder(tmp_path):
    with lock(tmp_path):
        with pytest.raises(ComparisonError, match="still runs in this folder"):
            with lock(tmp_path):
                pass
    with lock(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        # The comparison is gone, what it started is not.
        with pytest.raises(ComparisonError, match="still runs in this folder"):
            with lock(tmp_path):
                pass
    finally:
        child.kill()
        child.wait()
    with lock(tmp_path):
        pass


DRIVER = """
import sys
from pathlib import Path
from legged_cts.evaluation.compare.app import compare
from legged_cts.evaluation.compare.options import CompareOptions
from legged_cts.evaluation.compare.jobs import Commands
python, fake, path, folder = sys.executable, *sys.argv[1:]
commands = Commands((python, fake, "train"), (python, fake, "evaluate"))
sys.exit(compare(Path(path), CompareOptions(output=folder), commands))
"""


def test_ctrl_c_lets_children_save_and_the_same_command_goes_on(tmp_path):
    path, folder = tmp_path / "c.yaml", tmp_path / "out"
    path.write_text(
        "common: [env.scene.num_envs=8, max_iterations=3, evaluation.episodes=5]\n"
        "arms: {a: [algorithm.entropy_coef=0.125], b: [algorithm.entropy_coef=0.01]}\n"
        "seeds: [1]\nbaseline: a\nmetrics: {fall: lower, lin_error: lower}\n"
    )
    command = [sys.executable, "-c", DRIVER, str(FAKE), str(path), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        # A busy machine takes minutes to import torch.
        deadline, waiting = time.monotonic() + 1800, folder / "a" / "1" / "waiting"
        while not waiting.is_file() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=1800)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert f"go on with: uv run scripts/compare.py {path} jobs=1 output={folder}" in output
    assert "**Partial result**: 0 of 2 runs are finished. Missing: a seed 1, b seed 1." in output
    assert (folder / "a" / "1" / "model_1.pt").is_file() and calls(folder) == ["train a 1"]
    assert compare(path, CompareOptions(output=str(folder)), COMMANDS) == 0
    assert calls(folder)[1:] == ["resume a 1", "evaluate a 1", "train b 1", "evaluate b 1"]
    assert "2 of 2 runs are finished." in (folder / "summary.md").read_text()
    # Only the report, of what is there.
    (folder / "summary.md").unlink()
    (folder / "b" / "1" / "evaluation.csv").unlink()
    assert compare(path, CompareOptions(output=str(folder), report_only=True), COMMANDS) == 0
    assert "1 of 2 runs are finished. Missing: b seed 1." in (folder / "summary.md").read_text()
    assert len(calls(folder)) == 5


def test_the_exit_status_tells_of_failures(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(
        "common: [env.scene.num_envs=8, max_iterations=3]\n"
        "arms: {a: [algorithm.entropy_coef=0.01], b: [algorithm.entropy_coef=0.5]}\n"
        "seeds: [1]\nbaseline: a\nmetrics: {fall: lower}\n"
    )
    assert compare(path, CompareOptions(output=str(tmp_path / "out")), COMMANDS) == 1
    assert "failed: b seed 1" in capsys.readouterr().out


def test_words_of_the_script():
    file = str(Path(__file__).parents[3] / "tasks" / "compare" / "distillation.yaml")
    path, options, launcher = split_words([file, "jobs=2", "report_only=true", "hydra/launcher=joblib"])
    assert path == Path(file) and options.jobs == 2 and options.report_only and launcher == ["hydra/launcher=joblib"]
    for argv, message in [([], "give one comparison file"), (["a", "b"], "give one"), ([file, "job=2"], "unknown key")]:
        with pytest.raises(ValueError, match=message):
            split_words(argv)
