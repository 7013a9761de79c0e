import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from deploy_policies import COUNT_GAIN, make_contract, make_gait_contract, write_counting_policy, write_linear_policy

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sim2sim.py"

# Runs the script with every package blocked that a robot's computer does not have.
BLOCKED = """
import importlib.abc, runpy, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Block())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
HEAVY = {
    "matplotlib",
    "torch",
    "tensordict",
    "isaaclab",
    "isaaclab_newton",
    "newton",
    "warp",
    "rsl_rl",
    "hydra",
    "onnx",
}


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    code = BLOCKED.format(blocked=HEAVY)
    command = [sys.executable, "-c", code, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800)


def test_it_runs_without_torch_and_isaaclab(zero_policy: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "metrics.json"
    done = _run(
        f"policy={zero_policy}", "episodes=2", "duration=1.5", "workers=1", f"output={output}", "response=false"
    )
    assert done.returncode == 0, done.stderr
    assert "go2 (CTS, 1000 steps) on flat: 2 episodes of 1.5 s, seeds 0 to 1" in done.stdout
    result = json.loads(output.read_text())
    assert result["metrics"]["fall"] | {"high": 0} == {"mean": 0.0, "low": 0.0, "high": 0, "episodes": 2}
    assert len(result["episodes"]) == 2
    written = {file.name for file in output.parent.iterdir()}
    assert written == {"metrics.json", "metrics.csv", "metrics_summary.csv"}, "no picture without matplotlib"
    assert all(str(output.with_name(name)) in done.stdout for name in written)
    with output.with_name("metrics_summary.csv").open() as file:
        falls = next(row for row in csv.DictReader(file) if row["metric"] == "fall")
    assert (falls["mean"], falls["episodes"]) == ("0.0", "2")


def test_a_policy_with_a_gait_runs(tmp_path: Path) -> None:
    policy = write_linear_policy(tmp_path / "p.onnx", make_gait_contract())
    done = _run(f"policy={policy}", "episodes=1", "duration=1.2", "workers=1", "response=false")
    assert done.returncode == 0, done.stderr
    assert "standing" not in done.stdout
    assert "go2 (CTS, 1000 steps) on flat: 1 episodes" in done.stdout


def test_a_recurrent_policy_runs_and_is_filmed_from_a_fresh_state(tmp_path: Path) -> None:
    policy, output = write_counting_policy(tmp_path / "p.onnx"), tmp_path / "m.json"
    words = ["episodes=2", "duration=1.2", "workers=1", f"output={output}", f"video={tmp_path / 'a.mp4'}"]
    done = _run(f"policy={policy}", *words, "renderer=cpu", "response=false")
    assert done.returncode == 0, done.stderr
    rates = [episode["action_rate"] for episode in json.loads(output.read_text())["episodes"]]
    assert rates == pytest.approx([COUNT_GAIN] * 2, rel=1e-4)
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


def test_rough_ground_csv_and_video(zero_policy: Path, tmp_path: Path) -> None:
    output, video = tmp_path / "metrics.csv", tmp_path / "a.mp4"
    words = ["terrain=rough", "difficulty=0.2", "episodes=2", "duration=1.2", "workers=1", "randomize=false"]
    words += [f"output={output}", f"video={video}", "renderer=cpu", "response=false"]
    done = _run(f"policy={zero_policy}", "robot=go2", *words)
    assert done.returncode == 0, done.stderr
    assert "on rough, difficulty 0.2" in done.stdout
    with output.open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["0", "1"]
    assert video.read_bytes()[4:8] == b"ftyp"


def test_errors_are_one_line(zero_policy: Path, tmp_path: Path) -> None:
    for words, message in (
        (["polcy=x"], "did you mean 'policy'?"),
        ([f"policy={tmp_path / 'none.onnx'}"], "there is no file"),
        ([f"policy={zero_policy}", "terrain=moon"], "terrain must be 'flat' or 'rough'"),
        ([f"policy={zero_policy}", "output=metrics.txt"], ".json or .csv"),
        ([f"policy={zero_policy}", "output=/proc/nowhere/x.json"], "output: no folder /proc/nowhere can be made"),
        ([f"policy={zero_policy}", "renderer=foo"], "renderer must be one of auto, gl, cpu, got 'foo'"),
        ([f"policy={zero_policy}", f"video={tmp_path / 'none' / 'a.mp4'}"], "video: there is no folder"),
        ([f"policy={zero_policy}", "courses=flat", "duration=3"], "duration: has no effect on courses"),
        ([f"policy={zero_policy}", "courses=flat", "speeds=9"], "speeds: 9 m/s is outside of the policy's"),
        ([f"policy={write_linear_policy(tmp_path / 'p.onnx', make_contract(robot='go1'))}", "robot=go2"], "robot: "),
    ):
        done = _run(*words)
        assert done.returncode == 2
        assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_without_words_it_takes_the_policy_of_the_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEGGED_CTS_ASSETS", str(tmp_path))
    done = _run()
    assert done.returncode == 2
    assert "there is no file go2_flat" in done.stderr


def test_help_names_the_keys() -> None:
    done = _run("help")
    assert done.returncode == 0 and "policy=..." in done.stdout and "difficulty=..." in done.stdout
