import dataclasses
from pathlib import Path

import numpy as np
import pytest
from deploy_policies import COUNT_GAIN, make_contract, write_counting_policy, write_linear_policy

from legged_cts.deploy.contract import ContractError
from legged_cts.deploy.evaluate import Conditions, draw_command, evaluate, make_robot, run_episode
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.protocol import COMMAND_RANGES, narrowed
from legged_cts.robots.spec import load_robot
from legged_cts.training.compose import compose_task, plain


def test_commands_fill_the_ranges_and_one_in_ten_is_zero() -> None:
    rng = np.random.default_rng(0)
    commands = np.stack([draw_command(rng, COMMAND_RANGES) for _ in range(4000)])
    zero = (commands == 0).all(axis=1)
    assert zero.mean() == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(np.abs(commands).max(axis=0), [1.0, 0.5, 1.0], atol=0.01)
    np.testing.assert_allclose(commands.mean(axis=0), 0.0, atol=0.03)


def test_ranges_are_narrowed_to_the_trained_ones() -> None:
    contract = make_contract(
        command_ranges={"lin_vel_x": (-2.0, 0.6), "lin_vel_y": (0.0, 0.0), "ang_vel_z": (1.5, 2.0)}
    )
    ranges = narrowed(contract.command_ranges)
    assert ranges == {"lin_vel_x": (-1.0, 0.6), "lin_vel_y": (0.0, 0.0), "ang_vel_z": (1.5, 2.0)}


def test_a_standing_robot_has_the_error_of_its_commands(zero_policy: Path) -> None:
    """A robot which does not move errs by the size of the command, in all but the first second."""
    commands: list[np.ndarray] = []

    def keep(_: MujocoRobot, command: np.ndarray) -> None:
        commands.append(command)

    episode = run_episode(OnnxPolicy(zero_policy), load_robot("go2"), Conditions.ideal(), 3, 7.0, keep)
    assert len(commands) == 350
    assert len(np.unique(np.stack(commands), axis=0)) == 2
    assert (commands[249] == commands[0]).all() and (commands[250] != commands[0]).any()
    counted = np.stack([command for step, command in enumerate(commands) if step % 250 >= 50])
    assert episode.lin_error == pytest.approx(np.linalg.norm(counted[:, :2], axis=1).mean(), abs=0.02)
    assert episode.yaw_error == pytest.approx(np.abs(counted[:, 2]).mean(), abs=0.02)
    assert episode.fall == 0 and episode.duration == pytest.approx(7.0)
    assert episode.action_rate == 0.0
    assert 0 <= episode.slip < 0.03


def test_a_policy_that_folds_its_legs_falls(tmp_path: Path) -> None:
    now = np.zeros((45, 12))
    # Gravity's z is -1: every thigh goes forward and every knee folds at once.
    now[5] = np.tile([0.0, -8.0, 8.0], 4)
    path = write_linear_policy(tmp_path / "fold.onnx", make_contract(), now)
    episode = run_episode(OnnxPolicy(path), load_robot("go2"), Conditions.ideal(), 0, 5.0)
    assert episode.fall == 1 and episode.duration < 5.0


def test_random_networks_do_not_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write_linear_policy(
        tmp_path / "random.onnx", make_contract(), rng.normal(0, 0.3, (45, 12)), rng.normal(0, 0.1, (135, 12))
    )
    for terrain in ("flat", "rough"):
        episode = run_episode(
            OnnxPolicy(path), load_robot("go2"), Conditions(terrain, push_velocity=0.5), seed=1, duration=3.0
        )
        assert 0 < episode.duration <= 3.0


def test_evaluate_is_the_same_on_one_and_two_processes(zero_policy: Path) -> None:
    one = evaluate(zero_policy, "go2", Conditions(), episodes=3, seed=5, duration=2.0, workers=1)
    two = evaluate(zero_policy, "go2", Conditions(), episodes=3, seed=5, duration=2.0, workers=2)
    assert one == two
    assert one["seeds"] == [5, 6, 7]
    assert [row["seed"] for row in one["episodes"]] == [5, 6, 7]  # type: ignore[index]
    errors = [row["lin_error"] for row in one["episodes"]]  # type: ignore[index]
    assert len(set(errors)) == 3
    assert one["metrics"]["lin_error"]["mean"] == pytest.approx(np.mean(errors))  # type: ignore[index]
    assert one["metrics"]["fall"]["episodes"] == 3  # type: ignore[index]


def test_every_episode_begins_with_a_fresh_state(tmp_path: Path) -> None:
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx"))
    counts: list[float] = []

    def keep(robot: MujocoRobot, _: np.ndarray) -> None:
        counts.append(float(policy.state[0]))

    for seed in (0, 1):
        counts.clear()
        run_episode(policy, load_robot("go2"), Conditions.ideal(), seed, 1.2, keep)
        assert counts == list(range(1, 61))
    # One worker runs all episodes with one policy: each is as if it were alone.
    together = evaluate(tmp_path / "p.onnx", "go2", Conditions(), episodes=2, seed=5, duration=1.2, workers=1)
    alone = evaluate(tmp_path / "p.onnx", "go2", Conditions(), episodes=1, seed=6, duration=1.2, workers=1)
    assert together["episodes"][1] == alone["episodes"][0]  # type: ignore[index]
    # The count grows by one per step.
    assert alone["metrics"]["action_rate"]["mean"] == pytest.approx(COUNT_GAIN, rel=1e-4)  # type: ignore[index]


def test_evaluate_refuses_what_does_not_fit(tmp_path: Path, zero_policy: Path) -> None:
    other = write_linear_policy(tmp_path / "other.onnx", make_contract(stiffness=(1.0,) * 12))
    with pytest.raises(ContractError, match="stiffness"):
        evaluate(other, "go2", Conditions(), episodes=1)
    with pytest.raises(ValueError, match="episodes"):
        evaluate(zero_policy, "go2", Conditions(), episodes=0)
    with pytest.raises(ValueError, match="duration"):
        evaluate(zero_policy, "go2", Conditions(), episodes=1, duration=1.0)
    with pytest.raises(ValueError, match="terrain"):
        Conditions("moon")


def test_what_is_drawn_is_what_training_draws() -> None:
    """Friction, masses, gains and armature of robots in plain MuJoCo lie in the ranges of a training, and fill them."""
    pack = plain(compose_task([]))["env"]
    drawn, asked = pack["randomization"], Conditions()
    assert list(asked.friction) == drawn["friction"] and list(asked.com_shift) == drawn["com_shift"]
    assert list(asked.joint_zero) == drawn["joint_zero"] and list(asked.link_mass) == drawn["link_mass_scale"]
    assert list(asked.gains) == drawn["stiffness_scale"] == drawn["damping_scale"]
    assert list(asked.armature) == drawn["armature_scale"]
    assert [1 + share for share in asked.base_mass] == drawn["base_mass_scale"]
    assert asked.action_delay[1] == pytest.approx(max(pack["actions"]["delay_ms"]) / 1000)

    spec, contract = load_robot("go2"), make_contract()
    ideal = make_robot(contract, spec, Conditions.ideal(), 0)
    only = dataclasses.replace(
        Conditions.ideal(), gains=asked.gains, armature=asked.armature, link_mass=asked.link_mass
    )
    ratios: dict[str, list[np.ndarray]] = {"gain": [], "damping": [], "armature": [], "mass": [], "inertia": []}
    for seed in range(40):
        robot = make_robot(contract, spec, only, seed)
        one, other = robot.model, ideal.model
        ratios["gain"].append(one.actuator_gainprm[:, 0] / other.actuator_gainprm[:, 0])
        ratios["damping"].append(one.actuator_biasprm[:, 2] / other.actuator_biasprm[:, 2])
        ratios["armature"].append(one.dof_armature[robot.dofs] / other.dof_armature[ideal.dofs])
        ratios["mass"].append(one.body_mass[1:] / other.body_mass[1:])
        ratios["inertia"].append(one.body_inertia[1:, 0] / other.body_inertia[1:, 0])
        assert robot.mass == pytest.approx(one.body_mass.sum())
    for name, found in ratios.items():
        values, wide = np.concatenate(found), 0.2 if name == "armature" else 0.1
        assert 0.95 * wide < np.abs(values - 1).max() <= wide + 1e-9, name
        assert abs(values.mean() - 1) < 0.02, name
    np.testing.assert_allclose(ratios["mass"], ratios["inertia"])


def test_factors_of_links_are_positive_and_as_many_as_links() -> None:
    robot = make_robot(make_contract(), load_robot("go2"), Conditions.ideal(), 0)
    with pytest.raises(ValueError, match=r"links: expected \d+ factors above 0"):
        robot.scale([1.0], np.ones(12))
    with pytest.raises(ValueError, match="links"):
        robot.scale(np.zeros(robot.model.nbody - 1), np.ones(12))
