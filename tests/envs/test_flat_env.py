"""The Go2 on a plane, nothing randomised but sensor noise."""

import math

import mujoco
import numpy as np
import pytest
import torch
from envs_support import NO_CLOCK, running, zeros

from legged_cts.training.stages import apply

OVERRIDES = (
    "solver.longest_tick=null",
    "env.scene.num_envs=12",
    "randomization=none",
    "env.reset.velocity=[0,0]",
    "env.reset.joint_pos=[0,0]",
)


@pytest.fixture(scope="module")
def env():
    with running(*NO_CLOCK, *OVERRIDES) as env:
        yield env


@pytest.fixture(scope="module")
def mjcf(env):
    return mujoco.MjModel.from_xml_path(str(env.unwrapped.robot_spec.mjcf))


def test_articulation_has_the_masses_and_inertias_of_the_mjcf(inner, mjcf):
    robot = inner.scene["robot"]
    for index, name in enumerate(robot.body_names):
        body = mjcf.body(name)
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, body.iquat)
        rotation = rotation.reshape(3, 3)
        inertia = rotation @ np.diag(body.inertia) @ rotation.T
        assert robot.data.body_mass.torch[3, index].item() == pytest.approx(body.mass[0], rel=1e-5)
        built = robot.data.body_inertia.torch[3, index].reshape(3, 3).numpy()
        np.testing.assert_allclose(built, inertia, rtol=1e-3, atol=2e-7)
        np.testing.assert_allclose(robot.data.body_com_pos_b.torch[3, index].numpy(), body.ipos, atol=1e-6)


def test_articulation_has_the_limits_gains_and_joint_order_of_the_spec(inner):
    robot, spec = inner.scene["robot"], inner.robot_spec
    assert tuple(robot.joint_names) == spec.joints
    data = robot.data
    for built, given in (
        (data.joint_pos_limits.torch[5, :, 0], spec.joint_lower),
        (data.joint_pos_limits.torch[5, :, 1], spec.joint_upper),
        (data.joint_effort_limits.torch[5], spec.effort_limit),
        (data.joint_stiffness.torch[5], spec.stiffness),
        (data.joint_damping.torch[5], spec.damping),
        (data.joint_armature.torch[5], spec.armature),
        (data.default_joint_pos.torch[5], spec.nominal_pose),
        (data.soft_joint_vel_limits.torch[5], spec.velocity_limit),
    ):
        torch.testing.assert_close(built, torch.tensor(given), atol=1e-5, rtol=1e-5)


def test_robot_stands_on_its_feet_with_its_weight(env, inner):
    for _ in range(100):
        env.step(zeros(env))
    state = inner.state
    weight = 9.81 * inner.robot_spec.total_mass
    torch.testing.assert_close(state.foot_force.sum(1), torch.full((12,), weight), rtol=0.02, atol=0.0)
    assert not state.penalized_force.any() and not state.base_force.any()
    assert state.foot_height.abs().max() < 0.005
    # PD torques hold the weight: knees carry most of it, and no joint is at its limit.
    assert (state.joint_torque.abs() < state.effort_limit).all()
    assert state.joint_torque.abs().max() > 1.0


def test_observation_layout(env, inner):
    action = torch.linspace(-1, 1, 12).repeat(12, 1) * 0.2
    obs, *_ = env.step(action)
    assert obs["proprioception"].shape == (12, 45) and obs["history"].shape == (12, 5, 45)
    clean, state = inner.clean_frame, inner.state
    torch.testing.assert_close(clean[:, 0:3], state.ang_vel_b * 0.25)
    torch.testing.assert_close(clean[:, 3:6], state.gravity_b)
    torch.testing.assert_close(clean[:, 6:9], inner.command)
    torch.testing.assert_close(clean[:, 9:21], state.joint_pos - state.default_joint_pos)
    torch.testing.assert_close(clean[:, 21:33], state.joint_vel * 0.05)
    torch.testing.assert_close(clean[:, 33:45], action)
    torch.testing.assert_close(obs["privileged"][:, :45], clean)
    torch.testing.assert_close(obs["privileged"][:, 45:48], state.lin_vel_b)
    sizes = {"lin_vel": 3, "force": 4, "height": 4, "torque": 12, "acc": 12, "friction": 1, "mass": 1, "com": 3}
    assert obs["privileged"].shape[1] == 45 + sum(sizes.values()) + 24 + 1 + 3


def test_noise_is_bounded_shared_and_only_on_what_is_measured(env, inner):
    widths = torch.tensor([0.2 * 0.25] * 3 + [0.05] * 3 + [0.0] * 3 + [0.01] * 12 + [1.5 * 0.05] * 12 + [0.0] * 12)
    seen = torch.zeros(45)
    for _ in range(20):
        obs, *_ = env.step(zeros(env))
        assert torch.equal(obs["proprioception"], obs["history"][:, -1])
        noise = (obs["proprioception"] - inner.clean_frame).abs()
        assert (noise <= widths + 1e-6).all()
        seen = torch.maximum(seen, noise.amax(0))
    # 240 draws per entry come close to the bound.
    assert (seen[widths > 0] > 0.9 * widths[widths > 0]).all()
    assert not seen[widths == 0].any()


def test_reading_observations_twice_does_not_disturb_the_history(env, inner):
    obs, *_ = env.step(zeros(env))
    again = inner.observation_manager.compute()
    assert torch.equal(again["history"], obs["history"])
    assert torch.equal(again["proprioception"], obs["proprioception"])


def test_history_is_oldest_first_and_backfilled(env, inner):
    first = env.get_observations()
    assert torch.equal(first["history"], first["proprioception"][:, None].expand(-1, 5, -1))
    frames = [first["proprioception"]]
    for _ in range(3):
        obs, *_ = env.step(zeros(env))
        frames.append(obs["proprioception"])
    expected = torch.stack([frames[0], *frames], dim=1)
    assert torch.equal(obs["history"], expected)
    # One environment starts anew: its slots alone are filled again.
    inner.episode_length_buf[4] = inner.max_episode_length
    obs, _, dones, _ = env.step(zeros(env))
    assert dones.nonzero().flatten().tolist() == [4]
    assert torch.equal(obs["history"][4], obs["proprioception"][4].expand(5, -1))
    assert torch.equal(obs["history"][3, :4], expected[3, 1:])


def test_delay_holds_the_previous_target(env, inner):
    # Same start for all, then one step towards another pose with delays of 0 to 4 ticks.
    for _ in range(50):
        env.step(zeros(env))
    robot = inner.scene["robot"]
    robot.write_root_pose_to_sim_index(root_pose=robot.data.root_link_pose_w.torch.clone())
    joint_pos = robot.data.joint_pos.torch[:1].expand(12, -1).clone()
    robot.write_joint_position_to_sim_index(position=joint_pos)
    robot.write_joint_velocity_to_sim_index(velocity=torch.zeros(12, 12))
    height = torch.full((12, 1), 1.0)  # in the air, where legs swing freely
    pose = torch.cat((inner.scene.env_origins[:, :2], height, torch.tensor([[0.0, 0, 0, 1]]).repeat(12, 1)), 1)
    robot.write_root_pose_to_sim_index(root_pose=pose)
    robot.write_root_velocity_to_sim_index(root_velocity=torch.zeros(12, 6))
    inner.joint_action.delay_ticks[:] = torch.tensor([0, 1, 2, 3, 4, 0] * 2, dtype=torch.int32)
    action = torch.ones(12, 12)
    action[5] = action[11] = 0.0
    env.step(action)
    moved = (inner.state.joint_pos - joint_pos)[:6, 1]
    assert moved[0] > moved[1] > moved[2] > moved[3] > moved[4]
    assert moved[4].item() == pytest.approx(moved[5].item(), abs=1e-6)


def test_exploded_world_is_reset_and_counted_and_the_others_go_on(env, inner):
    for _ in range(10):
        env.step(zeros(env))
    before, counted = inner.episode_length_buf.clone(), int(inner.nan_resets)
    robot = inner.scene["robot"]
    bad = robot.data.joint_vel.torch[2:3].clone()
    bad[0, 3] = math.nan
    robot.write_joint_velocity_to_sim_index(velocity=bad, env_ids=torch.tensor([2]))
    obs, reward, dones, extras = env.step(zeros(env))
    assert dones.nonzero().flatten().tolist() == [2]
    assert inner.termination_manager.get_term("nan_state").nonzero().flatten().tolist() == [2]
    assert int(inner.nan_resets) == counted + 1
    assert extras["log"]["Episode_Termination/nan_state"].item() == pytest.approx(1 / 12)
    assert reward[2] == 0.0 and reward[[0, 1, 3, 11]].all()
    assert inner.episode_length_buf[2] == 0
    others = torch.tensor([i for i in range(12) if i != 2])
    assert torch.equal(inner.episode_length_buf[others], before[others] + 1)
    for _ in range(25):
        obs, reward, dones, _ = env.step(zeros(env))
        assert all(value.isfinite().all() for value in obs.values()) and reward.isfinite().all()
        assert not dones.any()
    assert all(value.isfinite().all() for key, value in extras["log"].items() if isinstance(value, torch.Tensor))


def test_time_out_is_reported_as_such(env, inner):
    inner.episode_length_buf[7] = inner.max_episode_length - 1
    _, _, dones, extras = env.step(zeros(env))
    assert dones.nonzero().flatten().tolist() == [7]
    assert extras["time_outs"].nonzero().flatten().tolist() == [7]


def test_fallen_robot_ends_its_episode(env, inner):
    robot = inner.scene["robot"]
    pose = robot.data.root_link_pose_w.torch[1:2].clone()
    pose[0, 2], pose[0, 3:] = 0.5, torch.tensor([1.0, 0.0, 0.0, 0.0])  # on its back (XYZW)
    robot.write_root_pose_to_sim_index(root_pose=pose, env_ids=torch.tensor([1]))
    _, _, dones, extras = env.step(zeros(env))
    assert dones.nonzero().flatten().tolist() == [1] and not extras["time_outs"].any()
    assert inner.termination_manager.get_term("tilt")[1]


def test_standing_still_earns_the_hand_computed_tracking_reward(env, inner):
    for _ in range(60):
        env.step(zeros(env))
    index = inner.reward_manager.active_terms.index("track_lin_vel")
    earned = inner.reward_manager._step_reward[:, index]
    command = inner.command.clone()
    # The command may have been drawn anew after the reward; those environments do not count.
    same = inner.command_manager.get_term("velocity").time_left < 5.0 - 0.03
    speed = inner.state.lin_vel_b[:, :2]
    expected = torch.exp(-(command[:, :2] - speed).square().sum(1) / 0.25)
    torch.testing.assert_close(earned[same], expected[same], atol=1e-3, rtol=1e-2)


def test_a_stage_changes_the_running_environment(env, inner):
    index = inner.reward_manager.active_terms.index("alive")
    env.step(zeros(env))
    assert (inner.reward_manager._step_reward[:, index] == 0.0).all()
    apply(inner, None, "env.rewards.alive.weight", 1.0)
    apply(inner, None, "env.commands.lin_vel_x", [0.7, 0.8])
    apply(inner, None, "env.commands.zero_probability", 0.0)
    env.reset()
    assert ((inner.command[:, 0] >= 0.7) & (inner.command[:, 0] <= 0.8)).all()
    env.step(zeros(env))
    assert (inner.reward_manager._step_reward[:, index] == 1.0).all()
    for key, value in (
        ("rewards.alive.weight", 0.0),
        ("commands.lin_vel_x", [-1, 1]),
        ("commands.zero_probability", 0.1),
    ):
        apply(inner, None, f"env.{key}", value)
