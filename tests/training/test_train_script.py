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


def run(*words: str, timeout: int = 400) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(*words), capture_output=True, text=True, env=environment, timeout=timeout, cwd=ROOT, check=False
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done = run("max_iterations=3", *SMALL, f"hydra.run.dir={folder}")
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


def test_resume_continues_in_the_same_folder_with_its_own_configuration(finished):
    folder, _ = finished
    done = run(f"resume={folder}", "max_iterations=4", "evaluation.enabled=false", "env.episode_length_s=1.0")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [int(line["iteration"]) for line in read(folder / "metrics.csv")] == [1, 2, 3, 4]
    content = load_checkpoint(folder / "model_4.pt")
    # 16 environments came from the checkpoint, not from the defaults.
    assert content["total_steps"] == 4 * 24 * 16 and content["env_state"]["common_step_counter"] == 4 * 24
    # Episodes are at random times of their 1 s: in the 0.48 s of an iteration some end by the clock, not by a fall.
    episodes, _, _, falls = content["statistics"]["window"][-1][:4]
    assert sum(episodes) > sum(falls)


def test_a_signal_saves_and_says_how_to_go_on(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command("max_iterations=100000", *SMALL, f"hydra.run.dir={tmp_path}"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while not (tmp_path / "metrics.csv").is_file() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, output[-3000:]
    assert re.search(rf"resume={tmp_path}", output)
    saved = list(tmp_path.glob("model_*.pt"))
    assert len(saved) == 1 and load_checkpoint(saved[0])["iter"] == len(read(tmp_path / "metrics.csv"))
    assert (tmp_path / "policy.onnx").is_file() and not (tmp_path / "evaluation.csv").is_file()
