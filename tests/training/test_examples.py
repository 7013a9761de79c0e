"""The examples: trained together on one environment, then resumed, evaluated in another process, and exported."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from legged_cts.export.checkpoint import export_checkpoint
from legged_cts.train import resolve_task, train
from legged_cts.training.checkpoint import load_checkpoint
from legged_cts.training.command_line import check, read
from legged_cts.training.compose import apply_overrides, compose_task, plain
from legged_cts.trust.names import FOLDERS, TRUST, take_trust

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PACKS = sorted(path.stem for path in (EXAMPLES / "experiment").glob("*.yaml"))
SEARCH = f"hydra.searchpath=[{EXAMPLES}]"
WORDS = [
    *("terrain=rough", "terrain.levels=2", "terrain.columns=8", "terrain.border=1", "device=cpu"),
    *("env.scene.num_envs=16", "max_iterations=2", "evaluation.enabled=false", "logger=none"),
]
pytestmark = pytest.mark.usefixtures("trusted")


@pytest.fixture(scope="module")
def trusted():
    """Trust every example, as the command line of each does, wherever the process runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (TRUST, FOLDERS):
            patch.setenv(name, "")
        patch.setattr(sys, "path", [*sys.path])
        trust = f"trust={','.join(PACKS)},isaaclab.envs.mdp"
        assert take_trust([trust, SEARCH, "seed=1"]) == [SEARCH, "seed=1"]
        yield


@pytest.fixture(scope="module")
def run(trusted, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "run"
    cfg = compose_task([SEARCH, *WORDS])
    for pack in PACKS:
        cfg = apply_overrides(plain(cfg), [SEARCH, f"+experiment={pack}"])
    theirs = "++env.rewards.theirs={func: 'isaaclab.envs.mdp:action_rate_l2', weight: -0.01}"
    train(resolve_task(apply_overrides(plain(cfg), [theirs]), WORDS), folder)
    return folder


def test_every_example_is_documented_and_has_a_pack():
    modules = sorted(path.stem for path in EXAMPLES.glob("own_*.py"))
    text = (EXAMPLES / "README.md").read_text()
    assert modules == PACKS and all(f"({name}.py)" in text for name in modules)


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_is_right_on_the_command_line(pack):
    check(read(["--config-dir", str(EXAMPLES), f"+experiment={pack}", "terrain=rough"]))


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "tasks" / "experiment").glob("*.yaml")))
def test_every_experiment_of_the_package_is_right(name):
    robot = "tron1" if name == "biped" else "go2"
    check(read([f"robot={robot}", "terrain=rough", f"experiment={name}"]))


def test_they_train_together(run):
    content = load_checkpoint(run / "model_2.pt")
    assert content["config"]["env"]["rewards"]["jump"]["func"] == "own_reward:jump_height"
    # o_t with its clock, the privileged terms, and a slip for each of four feet.
    info = content["env_info"]
    assert info["privileged"] == 47 + 3 + 4 + 4 + 12 + 12 + 1 + 1 + 3 + 24 + 1 + 3 + 4
    assert "filters.weight" in "".join(content["student_encoder_state_dict"])
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and any("ditches" in column for column in rows[0])


def test_a_copy_without_the_word_of_trust_is_refused_and_nothing_imported(run, tmp_path):
    names = [pack.removeprefix("own_") for pack in PACKS]
    words = ["episodes=2", "duration=2", "response=false", f"output={tmp_path}"]
    script = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), f"checkpoint={run}"]
    clean = {name: value for name, value in os.environ.items() if name not in (TRUST, FOLDERS)}
    refused = subprocess.run([*script, *words], env=clean, cwd=EXAMPLES, capture_output=True, text=True)
    assert refused.returncode == 2 and "trust=own_" in refused.stderr.splitlines()[-1]
    trust = [f"trust={','.join(f'own_{name}.py' for name in names)},isaaclab.envs.mdp"]
    done = subprocess.run([*script, *words, *trust], env=clean, cwd=EXAMPLES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "evaluation.csv").open() as file:
        assert {row["role"] for row in csv.DictReader(file)} == {"student", "teacher"}


def test_they_export(run, tmp_path):
    path, contract = export_checkpoint(run / "model_2.pt", tmp_path / "policy.onnx")
    assert path.is_file() and contract.parity_error < 1e-4


def test_they_resume(run):
    words = [f"resume={run / 'model_2.pt'}", "max_iterations=3"]
    train(resolve_task(compose_task([SEARCH, *words]), words), run)
    assert load_checkpoint(run / "model_3.pt")["iter"] == 3
