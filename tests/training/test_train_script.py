"""The training script as a user runs it, on the real environment: seconds to start, so few runs serve many checks."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from legged_cts.training.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
SMALL = ["device=cpu", "env.scene.num_envs=16", "evaluation.episodes=2", "evaluation.duration=2"]


def command(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / "train.py"), *words]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done = subprocess.run(
        command("max_iterations=3", *SMALL, f"hydra.run.dir={folder}"),
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=1800, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done


def test_a_short_training_leaves_everything(finished):
    folder, done = finished
    assert (folder / "policy.onnx").stat().st_size > 10_000
    assert (folder / "learning.png").read_bytes()[:4] == b"\x89PNG"
    assert "robot: go2" in (folder / "config.yaml").read_text()
    lines = read(folder / "evaluation.csv")
    assert {line["role"] for line in lines} == {"student", "teacher"}
    assert [int(line["iteration"]) for line in read(folder / "metrics.csv")] == [1, 2, 3]
    assert list(folder.glob("events.out.tfevents.*"))
    content = load_checkpoint(folder / "model_3.pt")
    assert content["iter"] == 3 and content["total_steps"] == 3 * 24 * 16
    assert content["env_info"]["robot"] == "go2" and content["env_info"]["control_dt"] == pytest.approx(0.02)
    assert content["env_state"]["common_step_counter"] == 3 * 24
    assert "[3/3]" in done.stdout and "scripts/play.py" in done.stdout
    # What simulator and networks say about themselves does not bury the progress.
    assert "Active Reward Terms" in (folder / "setup.log").read_text()
    assert "Active Reward Terms" not in done.stdout and "INFO" not in done.stdout


def test_the_exported_policy_fits_the_robot(finished):
    from legged_cts.deploy.contract import check
    from legged_cts.deploy.policy import OnnxPolicy
    from legged_cts.robots.spec import load_robot

    contract = OnnxPolicy(finished[0] / "policy.onnx").contract
    check(contract, load_robot("go2"))
    assert contract.trained_steps == 3 * 24 * 16 and contract.history_length == 5


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["checkpoint={}", "networks.actor.latent_dim=8"], "networks.actor.latent_dim=32, this run has 8"),
        (["checkpoint={}", "size.policy=[32]"], "networks.actor.hidden_dims=[128, 128, 128], this run has [32]"),
        (["resume={}", "max_iterations=3"], "already has 3 iterations; give more to continue"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_line_and_the_finished_run_stays(finished, words, reason, tmp_path):
    folder, _ = finished
    before = (folder / "setup.log").read_text()
    words = [word.format(folder) for word in words]
    if words[0].startswith("checkpoint="):
        words += [*SMALL, "max_iterations=3", f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=1800, cwd=ROOT, check=False)
    assert done.returncode == 2, done.stderr[-3000:]
    assert "Traceback" not in done.stderr + done.stdout
    assert reason in done.stderr.splitlines()[-1]
    assert (folder / "setup.log").read_text() == before


def test_resume_continues_with_its_own_configuration_until_a_signal_saves_and_says_how_to_go_on(finished):
    folder, _ = finished
    measured = (folder / "evaluation.csv").stat().st_mtime_ns
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(f"resume={folder}", "max_iterations=100000", "env.episode_length_s=1.0"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 1800
        while len(read(folder / "metrics.csv")) < 4 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=1800)
    finally:
        process.kill()
    assert process.returncode == 0, output[-3000:]
    assert re.search(rf"resume={folder}", output)
    done = len(read(folder / "metrics.csv"))
    assert [int(line["iteration"]) for line in read(folder / "metrics.csv")] == list(range(1, done + 1)) and done >= 4
    content = load_checkpoint(folder / f"model_{done}.pt")
    # 16 environments came from the checkpoint, not from the defaults.
    assert content["total_steps"] == done * 24 * 16 and content["env_state"]["common_step_counter"] == done * 24
    # Episodes are at random times of their 1 s: in the 0.48 s of an iteration some end by the clock, not by a fall.
    episodes, _, _, falls = content["statistics"]["window"][-1][:4]
    assert sum(episodes) > sum(falls)
    # A run that was stopped leaves a policy, but nobody waits for its evaluation.
    assert (folder / "policy.onnx").stat().st_mtime_ns > measured
    assert (folder / "evaluation.csv").stat().st_mtime_ns == measured
