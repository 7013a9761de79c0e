"""Overrides on a checkpoint's configuration, and command lines that are wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from legged_cts.deploy.words import user_errors
from legged_cts.robots.spec import load_robot
from legged_cts.task.schema import Solver
from legged_cts.train import (
    check_robot_unchanged,
    evaluation_episodes,
    pack_word,
    resolve_task,
    robot_name,
)
from legged_cts.training.checkpoint import REQUIRED, save_checkpoint
from legged_cts.training.command_line import check, composed, in_run_dir, read
from legged_cts.training.compose import apply_overrides, compose_task, plain

ROOT = Path(__file__).parents[2]


def config():
    cfg = compose_task(["terrain=flat", "env.scene.num_envs=16"])
    return plain(cfg)


def test_values_groups_and_additions_are_applied_to_a_copy():
    before = config()
    after = plain(
        apply_overrides(before, ["seed=7", "terrain=rough", "randomization=none", "env.scene.num_envs=4", "+a.b=1"])
    )
    assert after["seed"] == 7 and after["env"]["scene"]["num_envs"] == 4 and after["a"] == {"b": 1}
    assert after["terrain"] == plain(compose_task(["terrain=rough"]))["terrain"]
    assert after["env"]["pushes"]["enabled"] is False and after["env"]["randomization"]["friction"] is None
    # What the group does not own stays.
    assert after["env"]["rewards"] == before["env"]["rewards"]
    assert before["terrain"]["name"] == "flat" and before == config()


def test_an_option_of_today_can_be_given_to_a_checkpoint_of_before():
    before = config()
    del before["env"]["terminations"]["passed"], before["env"]["gait"]["linger"]
    after = plain(apply_overrides(before, ["env.terminations.passed=true", "env.gait.linger=0.5"]))
    assert after["env"]["terminations"]["passed"] is True and after["env"]["gait"]["linger"] == 0.5
    assert after["env"]["terminations"]["tilt"] == before["env"]["terminations"]["tilt"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("env.scene.num_env=4", "no key 'env.scene.num_env'"),
        ("terrain=moon", "terrain='moon' is unknown. Allowed: flat, rough"),
        ("seed=1,2", "sweep"),
        ("seed", "seed"),
    ],
)
def test_wrong_overrides_are_named(word, message):
    with pytest.raises(ValueError, match=message):
        apply_overrides(config(), [word])


def test_unknown_options_and_keys_of_the_tree_are_value_errors():
    check(read(["terrain=rough", "seed=3", "algorithm=cts", "experiment=null", "terrain.size=4"]))
    with pytest.raises(ValueError, match="terrain='rouhg' is unknown; did you mean 'rough'"):
        check(read(["terrain=rouhg"]))
    with pytest.raises(ValueError, match="nonsense"):
        compose_task(["nonsense=1"])


def test_what_changes_a_run_to_resume_need_not_fit_the_task_tree():
    words = ["resume=logs/rough", "terrain.columns=13", "hydra.job.num=1", "+stages.fast.when.falls=0.1"]
    assert composed(words) == ["resume=logs/rough", "hydra.job.num=1"]
    assert composed(words[1:]) == words[1:] and composed(["resume=null", "seed=2"]) == ["resume=null", "seed=2"]
    check(read(words[:2]))
    with pytest.raises(ValueError, match="no effect on a plane"):
        check(read(["+terrain.columns=13"]))


def test_resume_goes_on_in_the_same_folder(tmp_path):
    file = tmp_path / "model_3.pt"
    file.touch()
    for given in (file, tmp_path):
        assert in_run_dir([f"resume={given}"])[-1] == f"hydra.run.dir='{tmp_path}'"
    chosen = [f"resume={file}", "hydra.run.dir=elsewhere"]
    assert in_run_dir(chosen) == chosen
    for words in ([], ["resume=null"], ["resume=/no/such/run"]):
        assert in_run_dir(words) == words


def test_user_errors_are_one_line_unless_the_trace_is_asked_for(capsys, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit, match="2"), user_errors():
        raise ValueError("robot: wrong")
    assert capsys.readouterr().err.splitlines()[0] == "error: robot: wrong"
    with pytest.raises(RuntimeError), user_errors():
        raise RuntimeError("a fault of the program keeps its trace")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError), user_errors():
        raise ValueError("robot: wrong")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("robot=go3", "no robot named 'go3'; did you mean 'go[12]'"),
        ("physics=bullet", "physics='bullet' is unknown"),
        ("logger=paper", "logger='paper' is unknown. Allowed: tensorboard, wandb, none"),
        ("max_iterations=0", "max_iterations must be a whole number of at least 1, got 0"),
        ("max_minutes=0", "max_minutes must be a number above 0, got 0"),
        ("env.scene.num_envs=many", "env.scene.num_envs must be"),
        ("resume=/no/such/run", "no file or run folder"),
        ("algorithm.class_name=nowhere:CTS", "algorithm.class_name 'nowhere:CTS' is none of the classes"),
    ],
)
def test_wrong_values_are_found_before_the_simulator_starts(word, message):
    with pytest.raises(ValueError, match=message):
        resolve_task(compose_task([word]), [word])


def test_what_depends_on_the_machine_or_terrain_is_resolved():
    flat = resolve_task(compose_task(["device=cpu", "env.scene.num_envs=auto", "terrain=flat"]), [])
    assert flat["env"]["scene"]["num_envs"] == 512
    assert flat["env"]["observations"]["privileged"]["height_scan"] is False
    assert flat["runner"]["obs_groups"]["critic"] == flat["runner"]["obs_groups"]["teacher"] == ["privileged"]
    rough = resolve_task(compose_task(["device=cpu", "terrain=rough"]), [])
    assert rough["env"]["observations"]["privileged"]["height_scan"] is True
    assert rough["runner"]["obs_groups"]["teacher"] == ["privileged", "height_scan"]


@pytest.mark.parametrize(("size", "width"), [("small", 64), ("paper", 256)])
@pytest.mark.parametrize("student", ["mlp", "gru", "lstm", "moe"])
def test_student_encoders_are_chosen_by_their_group(student, size, width):
    words = [f"student={student}", f"size={size}", "device=cpu"]
    encoder = resolve_task(compose_task(words), words)["networks"]["student_encoder"]
    name = encoder["class_name"].split(":")[1]
    assert name == {"mlp": "LatentEncoder", "moe": "MixtureEncoder"}.get(student, "RecurrentEncoder")
    assert encoder.get("cell") == (student if student in ("gru", "lstm") else None)
    if "cell" in encoder:
        assert encoder["hidden_size"] == width and encoder["hidden_dims"] == []
    else:
        assert encoder["hidden_dims"][-1] == width
    resolve_task(compose_task(["student=mlp", "algorithm=ppo"]), [])  # PPO has none, and need not refuse the default


def test_the_teacher_alone_can_do_without_the_scan():
    words = ["device=cpu", "terrain=rough", "runner.obs_groups.teacher=[privileged]"]
    groups = resolve_task(compose_task(words), words)["runner"]["obs_groups"]
    assert groups["teacher"] == ["privileged"] and groups["critic"] == ["privileged", "height_scan"]


@pytest.mark.parametrize(
    ("word", "message"),
    [("terrain=moon", "error: terrain='moon' is unknown"), ("env.scene.num_envz=4", "env.scene.num_envz")],
)
def test_a_wrong_command_line_ends_without_a_trace(tmp_path, word, message):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("HYDRA_FULL_ERROR", None)
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train.py"), word, f"hydra.run.dir={tmp_path}"],
        capture_output=True, text=True, env=environment, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr


def test_the_command_line_gets_the_pack_of_the_robot(tmp_path):
    assert pack_word(read(["robot=tron1", "-m"])) == ["morphology=point_foot_biped"]
    assert pack_word(read(["robot=tron1", "morphology=humanoid"])) == []
    # A run to resume has a robot of its own.
    config = plain(compose_task(["robot=tron1", "max_iterations=4"]))
    content = {"config": config, "env_info": {}, "iter": 3, "total_steps": 1}
    save_checkpoint(tmp_path / "model_3.pt", dict.fromkeys(REQUIRED, {}) | content)
    for path in (tmp_path, tmp_path / "model_3.pt"):
        assert pack_word(read([f"resume={path}"])) == ["morphology=point_foot_biped"]
    with pytest.raises(ValueError, match="max_iterations=3: .*model_3.pt already has 3 iterations; give more"):
        pack_word(read([f"resume={tmp_path}", "max_iterations=3"]))
    with pytest.raises(ValueError, match="no robot named 'tron2'; did you mean 'tron1'"):
        pack_word(read(["robot=tron2"]))


def test_a_wrong_pack_is_named_before_hydra_sees_it():
    with pytest.raises(ValueError, match="morphology='quadrupde' is unknown; did you mean 'quadruped'"):
        check(read(["morphology=quadrupde"]))


def test_the_solver_settings_of_the_task_are_the_defaults():
    assert plain(compose_task(["solver.longest_tick=null"]))["solver"] == Solver().model_dump()


@pytest.mark.parametrize(
    ("robot", "name"),
    [("go2", "go2"), ("robots/dog/robot.yaml", "dog"), ("/some/where/dog/robot.yaml", "dog"), ("robots/dog", "dog")],
)
def test_a_run_is_named_after_its_robot_not_after_a_path(robot, name):
    assert robot_name(robot) == name


def test_a_robot_that_changed_since_the_run_began_is_noticed_at_resume():
    spec = load_robot("go2")
    info = {"robot_hash": spec.hash, "stiffness": list(spec.stiffness), "damping": list(spec.damping)}
    check_robot_unchanged("go2", info)
    with pytest.raises(ValueError, match="go2.xml of the robot 'go2' changed .*: stiffness differ; .* robot=go2 on"):
        check_robot_unchanged("go2", {**info, "robot_hash": "other", "stiffness": [1.0] * 12})
    with pytest.raises(ValueError, match="so in its MJCF"):
        check_robot_unchanged("go2", {**info, "robot_hash": "other"})


@pytest.mark.parametrize(
    ("wanted", "iterations", "episodes"), [(256, 3, 16), (256, 100, 100), (256, 1800, 256), (7, 3, 7), (7, 100, 7)]
)
def test_the_evaluation_after_a_training_is_as_long_as_the_training(wanted, iterations, episodes):
    assert evaluation_episodes(wanted, iterations) == episodes
