"""A session steps a robot under a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from deploy_policies import write_counting_policy

from legged_cts.viewer.session import MujocoSession, World


def test_a_standing_policy_stands_and_a_push_is_measured_in_the_base_frame(standing_policy: Path) -> None:
    session = MujocoSession(standing_policy)
    state = session.state()
    for _ in range(50):
        state = session.step(np.zeros(3))
    assert not state.fallen
    assert state.base_pos[2] == pytest.approx(session.spec.nominal_height, abs=0.05)
    assert np.abs(state.velocity).max() < 0.1
    session.push(np.array([0.0, 0.7, 0.0]))
    np.testing.assert_allclose(session.state().velocity[1] - state.velocity[1], 0.7, atol=1e-3)
    moved = session.step(np.zeros(3))
    assert moved.base_pos[1] > state.base_pos[1] + 0.005


def test_the_command_reaches_the_policy(standing_policy: Path) -> None:
    session = MujocoSession(standing_policy)
    session.step(np.array([0.3, -0.2, 0.1]))
    history = session._policy.history
    assert history is not None
    # After angular velocity and gravity; this policy's scales are 1.
    np.testing.assert_allclose(history[-1, 6:9], (0.3, -0.2, 0.1), atol=1e-6)


def test_reset_puts_the_robot_back_and_forgets_the_history(standing_policy: Path) -> None:
    session = MujocoSession(standing_policy)
    state = start = session.state()
    session.push(np.array([1.0, 0.0, 0.0]))
    for _ in range(10):
        state = session.step(np.zeros(3))
    assert np.abs(state.qpos - start.qpos).max() > 0.05
    np.testing.assert_array_equal(session.reset().qpos, start.qpos)
    assert session._policy.history is None


def test_reset_and_another_ground_forget_the_state_of_a_recurrent_policy(tmp_path: Path) -> None:
    session = MujocoSession(write_counting_policy(tmp_path / "p.onnx"))

    def run(steps: int) -> list[np.ndarray]:
        return [session.step(np.zeros(3)).qpos for _ in range(steps)]

    session.reset()
    first = run(10)
    assert session._policy.state[0] == 10
    session.reset()
    np.testing.assert_array_equal(run(10), first)
    # The count goes on, and so does what it asks of the joints.
    session._robot.reset()
    session._controller._last_action[:] = 0
    assert np.abs(run(10)[-1] - first[-1]).max() > 1e-4
    assert session._policy.state[0] == 20
    session.set_world(World("rough", 0.3))
    run(1)
    assert session._policy.state[0] == 1


def test_a_robot_pushed_over_has_fallen(standing_policy: Path) -> None:
    session = MujocoSession(standing_policy)
    session.push(np.array([0.0, 4.0, 1.0]))
    assert any(session.step(np.zeros(3)).fallen for _ in range(100))


def test_rough_terrain_is_another_ground_with_the_same_robot(standing_policy: Path) -> None:
    session = MujocoSession(standing_policy)
    flat = session.model
    session.set_world(World("rough", 0.3))
    assert session.model is not flat
    assert (flat.nhfield, session.model.nhfield) == (0, 1)
    assert session.model.nq == flat.nq
    assert not session.step(np.zeros(3)).fallen


def test_what_does_not_exist_is_refused(standing_policy: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
        MujocoSession(tmp_path / "nothing.onnx")
    with pytest.raises(ValueError, match="terrain must be one of flat, rough, .*got 'moon'"):
        MujocoSession(standing_policy, world=World("moon"))
    with pytest.raises(ValueError, match="checkpoint=.*role=teacher"):
        MujocoSession(standing_policy).set_role("teacher")
