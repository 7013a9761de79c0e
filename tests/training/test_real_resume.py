"""Resume and faults on the real environment; each run serves many checks."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import resume_worker
import torch
from entries import differences, metrics_rows

from legged_cts.training.checkpoint import load_checkpoint, read_plain
from legged_cts.training.replay import load_fault, replay

ROOT = Path(__file__).parents[2]
SMALL = ["device=cpu", "physics=mujoco_cpu", "env.scene.num_envs=16", "logger=none", "solver.threads=1"]
# A stage that is reached before the checkpoint.
STAGE = "+stages.paid={when:{falls:1.0},set:{env:{rewards:{alive:1.0}}}}"
TERRAINS = {
    "flat": [],
    "rough": ["terrain=rough", "terrain.levels=3", "terrain.columns=10", "env.episode_length_s=0.3"],
}


def resume_elsewhere(folder: Path) -> None:
    command = [sys.executable, resume_worker.__file__, "resume", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module", params=list(TERRAINS))
def resumed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    resume_worker.main("train", folder, [*SMALL, STAGE, *TERRAINS[request.param]])
    if request.param == "rough":
        resume_elsewhere(folder)  # nothing that it needs is in the process
    else:
        resume_worker.main("resume", folder, [])
    return request.param, folder


def test_right_after_a_resume_everything_is_as_it_was_saved(resumed):
    terrain, folder = resumed
    saved, state = load_checkpoint(folder / "model_2.pt"), load_checkpoint(folder / "resumed.pt")
    assert differences(saved, state, but=("git_revision",)) == []
    # None of it is what a fresh start would have had.
    assert saved["iter"] == 2 and saved["env_state"]["common_step_counter"] == 48
    assert saved["stages"] == {"reached": ["paid"], "since": 0}
    assert saved["env_state"]["nan_resets"] == saved["faults"]["simulation"] == 1
    assert len(saved["statistics"]["window"]) == 2 and "return" not in saved["statistics"]
    assert saved["env_state"]["physics"]["friction"].std() > 0.1
    levels = saved["env_state"].get("terrain_levels")
    assert (levels is None) == (terrain == "flat")


def test_physics_and_ground_follow_from_the_seed(resumed):
    folder = resumed[1]
    before, after = read_plain(folder / "simulated.pt"), read_plain(folder / "simulated_resumed.pt")
    assert differences(before, after) == []
    assert before["weight"] == 1.0
    assert before["mass"].std(dim=0).max() > 0.1


def test_training_goes_on_after_a_world_blew_up_and_after_the_resume(resumed):
    rows = metrics_rows(resumed[1])
    assert [row["iteration"] for row in rows] == ["1", "2", "3"]
    assert [row["faults/nan_resets"] for row in rows] == ["1", "1", "1"]
    for name in ("obs", "rewards", "actions", "skipped_updates"):
        assert {row[f"faults/{name}"] for row in rows} == {"0"}
    assert all(row["loss/value"] and row["student/tracking"] for row in rows)


def test_the_world_that_blew_up_can_be_replayed(resumed, capsys):
    terrain, folder = resumed
    (path,) = (folder / "faults").iterdir()
    dump = load_fault(path)
    assert (path.name, dump["kind"], dump["world"]) == ("0_0.pt", "simulation", 2)
    before, physics = dump["state"]["before"], dump["state"]["physics"]
    assert before["joint_vel"].isnan().nonzero().tolist() == [[3]]
    assert all(value.isfinite().all() for name, value in before.items() if name != "joint_vel")
    assert torch.equal(physics["mass"], read_plain(folder / "simulated.pt")["mass"][2])
    assert dump["observation"]["proprioception"].isfinite().all()
    if terrain == "flat":
        runpy.run_path(str(ROOT / "scripts" / "replay_fault.py"))["main"]([f"file={path}", "solver.threads=2"])
        said = capsys.readouterr().out
        assert "simulation not finite: iteration 0, world 2, seed 1" in said
        # The simulation blows up again, but the environment hands out nothing that is not finite.
        assert "blows up again" in said and "reward: finite" in said
        return
    # A sound world takes the same step again, with its mass, gains, friction and delay.
    result = replay(load_fault(folder / "sound.pt"), [])
    assert not result.exploded and all(result.finite.values())
    assert result.max_joint_speed == pytest.approx(read_plain(folder / "sound.pt")["speed"], abs=0.02)
