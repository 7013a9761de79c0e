"""A robot that walks by a clock: what it observes, and what a deployed controller would make of the same state."""

import mujoco
import numpy as np
import pytest
import torch
from envs_support import running, zeros

from legged_cts.deploy.contract import ObservationTerm
from legged_cts.deploy.observation import build_observation
from legged_cts.deploy.robot import RobotState
from legged_cts.envs.builder import proprioception_terms
from legged_cts.robots.mjcf import robot_model
from legged_cts.training.compose import compose_task

WORDS = ("robot=tron1", "morphology=point_foot_biped", "env.scene.num_envs=6", "randomization=none")


@pytest.fixture(scope="module")
def env():
    with running(*WORDS, "env.observations.noise.enabled=false") as env:
        yield env


def test_the_clock_is_the_end_of_the_frame_and_advances(env):
    env.reset()
    inner = env.unwrapped
    d = len(inner.robot_spec.joints)
    before = inner.gait.phase.clone()
    assert before.unique().numel() == 6
    for step in range(1, 6):
        obs, _, dones, _ = env.step(zeros(env))
        assert not dones.any()
        phase = (before + step * 2.0 * 0.02) % 1.0
        torch.testing.assert_close(inner.gait.phase, phase, atol=1e-5, rtol=0.0)
        expected = torch.stack((torch.sin(2 * torch.pi * phase), torch.cos(2 * torch.pi * phase)), dim=1)
        assert obs["proprioception"].shape == (6, 9 + 3 * d + 2)
        for frame in (obs["proprioception"], obs["history"][:, -1], obs["privileged"][:, : 11 + 3 * d]):
            torch.testing.assert_close(frame[:, -2:], expected, atol=1e-4, rtol=0.0)


def test_a_new_episode_has_a_new_phase(env):
    env.reset()
    inner = env.unwrapped
    before = inner.gait.phase.clone()
    inner.episode_length_buf[2] = inner.max_episode_length - 1
    obs, _, dones, _ = env.step(zeros(env))
    assert dones.nonzero().flatten().tolist() == [2]
    moved = (before + 0.04) % 1.0
    others = torch.tensor([0, 1, 3, 4, 5])
    torch.testing.assert_close(inner.gait.phase[others], moved[others], atol=1e-5, rtol=0.0)
    assert (inner.gait.phase[2] - moved[2]).abs() > 1e-4
    torch.testing.assert_close(obs["proprioception"][:, -2:], inner.gait.signal(inner.command))


def test_a_deployed_controller_builds_the_same_frame(env):
    env.reset()
    inner = env.unwrapped
    terms = proprioception_terms(compose_task(["robot=tron1"]))
    assert terms[-1] == ("gait_phase", 2, 1.0)
    action = 0.3 * torch.randn(6, env.num_actions)
    obs, *_ = env.step(action)
    state = inner.state
    contract = type("Contract", (), {
        "observations": [ObservationTerm(*term) for term in terms],
        "default_joint_pos": inner.robot_spec.nominal_pose,
        "gait": inner.gait.gait,
    })  # fmt: skip
    for i in range(6):
        reading = RobotState(
            quat=state.root_quat_w[i, [3, 0, 1, 2]].numpy(),
            ang_vel=state.ang_vel_b[i].numpy(),
            joint_pos=state.joint_pos[i].numpy(),
            joint_vel=state.joint_vel[i].numpy(),
        )
        phase = float(inner.gait.phase[i])
        frame = build_observation(contract, reading, inner.command[i].numpy(), action[i].numpy(), phase)  # type: ignore[arg-type]
        np.testing.assert_allclose(obs["proprioception"][i].numpy(), frame, atol=2e-5)


def test_soles_are_level_as_mujoco_says(env):
    env.reset()
    inner = env.unwrapped
    for _ in range(8):
        env.step(0.5 * torch.randn(6, env.num_actions))
    state, spec = inner.state.refresh(), inner.robot_spec
    model = robot_model(spec)
    data = mujoco.MjData(model)
    address = [model.joint(joint).qposadr[0] for joint in spec.joints]

    def verticals(quat, joints):
        data.qpos[:3], data.qpos[3:7], data.qpos[address] = 0.0, quat, joints
        mujoco.mj_kinematics(model, data)
        return np.array([data.body(foot).xmat.reshape(3, 3) for foot in spec.feet])

    nominal = verticals([1.0, 0, 0, 0], spec.nominal_pose)[:, 2]
    level = state.foot_level.numpy()
    assert level.min() < 0.999
    for i in range(6):
        now = verticals(state.root_quat_w[i, [3, 0, 1, 2]].numpy(), state.joint_pos[i].numpy())
        np.testing.assert_allclose(level[i], np.einsum("fj,fj->f", now[:, 2], nominal), atol=1e-4)
    assert (state.foot_contact == (state.foot_force > 1.0)).all()
