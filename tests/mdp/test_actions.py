"""Delays of the action term, tick by tick, as an engine sees them that asks before every tick."""

from types import SimpleNamespace

import pytest
import torch
import warp as wp

from legged_cts.mdp.actions import (
    DelayedJointPositionAction,
    DelayedJointPositionActionCfg,
)
from legged_cts.mdp.delay_kernels import count_tick, hold_previous_targets
from legged_cts.mdp.physics_params import PhysicsParams
from legged_cts.task.delays import delay_ticks

DEFAULT = (0.1, -0.2)


class Robot:
    def set_joint_position_target_index(self, target):
        self.target = target.clone()


def make(num_envs=3, delay_ms=(0.0,), scale=0.5, clip=2.0):
    env = SimpleNamespace(
        num_envs=num_envs,
        device="cpu",
        scene={"robot": Robot()},
        robot_spec=SimpleNamespace(joints=("a", "b"), nominal_pose=DEFAULT),
        cfg=SimpleNamespace(decimation=4),
        physics_dt=0.005,
        physics_handles_decimation=False,
        physics_params=PhysicsParams.neutral(num_envs, 2, "cpu"),
        sim=SimpleNamespace(vis_marker_registry=None),
    )
    cfg = DelayedJointPositionActionCfg(scale=scale, clip=clip, delay_ms=list(delay_ms))
    return DelayedJointPositionAction(cfg, env), env


def ticks(term, env, action):
    term.process_actions(action)
    targets = []
    for _ in range(4):
        term.apply_actions()
        targets.append(env.scene["robot"].target)
    return torch.stack(targets, dim=1)


def test_target_is_default_plus_scaled_clipped_action():
    term, env = make(num_envs=1)
    target = ticks(term, env, torch.tensor([[1.0, -9.0]]))
    torch.testing.assert_close(target[0], torch.tensor([0.1 + 0.5, -0.2 - 1.0]).repeat(4, 1))
    assert term.action.tolist() == [[1.0, -2.0]]


def test_previous_target_holds_for_the_delay():
    term, env = make()
    term.delay_ticks[:] = torch.tensor([0, 1, 3])
    first, second = torch.full((3, 2), 0.2), torch.full((3, 2), -0.6)
    rest = torch.tensor(DEFAULT)
    for action, old, new in ((first, rest, rest + 0.1), (second, rest + 0.1, rest - 0.3)):
        target = ticks(term, env, action)
        for world, delay in enumerate((0, 1, 3)):
            expected = torch.stack([old] * delay + [new] * (4 - delay))
            torch.testing.assert_close(target[world], expected)


def test_a_delay_of_a_whole_step_leaves_the_last_target_to_the_torque():
    term, env = make(num_envs=2)
    term.delay_ticks[:] = torch.tensor([3, 4])
    ticks(term, env, torch.full((2, 2), 1.0))
    torch.testing.assert_close(term.last_tick_target, torch.stack([torch.tensor(DEFAULT) + 0.5, torch.tensor(DEFAULT)]))


def test_encoder_error_shifts_the_target():
    term, env = make(num_envs=1)
    env.physics_params.joint_zero[:] = torch.tensor([[0.03, -0.01]])
    target = ticks(term, env, torch.zeros(1, 2))
    torch.testing.assert_close(target[0, 0], torch.tensor([0.07, -0.19]))


def test_reset_forgets_and_draws_from_the_given_delays():
    term, env = make(num_envs=400, delay_ms=(0, 5, 15))
    ticks(term, env, torch.ones(400, 2))
    ticks(term, env, torch.ones(400, 2))
    ids = torch.arange(0, 400, 2)
    term.reset(ids)
    for buffer in (term.action, term.previous_action, term.older_action):
        assert not buffer[ids].any()
    assert term.action[1::2].all() and term.previous_action[1::2].all()
    torch.testing.assert_close(term.previous_target[ids], torch.tensor(DEFAULT).repeat(200, 1))
    drawn = term.delay_ticks[ids]
    assert sorted(drawn.unique().tolist()) == [0, 1, 3]
    assert not term.delay_ticks[1::2].any()


def test_action_history_moves_by_one():
    term, env = make(num_envs=1)
    for value in (1.0, 2.0, 0.5):
        ticks(term, env, torch.full((1, 2), value))
    assert (term.action[0, 0], term.previous_action[0, 0], term.older_action[0, 0]) == (0.5, 2.0, 1.0)


def test_kernel_counts_ticks_on_the_device():
    previous, current = wp.array([[1.0, 2.0]] * 2, dtype=wp.float32), wp.array([[5.0, 6.0]] * 2, dtype=wp.float32)
    delay, tick = wp.array([0, 2], dtype=wp.int32), wp.zeros(1, dtype=wp.int32)
    columns, target = wp.array([1, 0], dtype=wp.int32), wp.zeros((2, 2), dtype=wp.float32)
    seen = []
    for _ in range(4):
        inputs = [previous, current, delay, tick, columns]
        wp.launch(hold_previous_targets, dim=(2, 2), inputs=inputs, outputs=[target])
        wp.launch(count_tick, dim=1, outputs=[tick])
        seen.append(target.numpy().tolist())
    new, old = [6.0, 5.0], [2.0, 1.0]
    assert seen == [[new, old], [new, old], [new, new], [new, new]]


@pytest.mark.parametrize("delay", [7.0, -5.0, 25.0])
def test_impossible_delays_are_refused(delay):
    with pytest.raises(ValueError, match="env.actions.delay_ms"):
        delay_ticks(delay, 0.005, 4)


def test_delay_in_ticks():
    assert [delay_ticks(delay, 0.005, 4) for delay in (0, 5, 10.0, 20)] == [0, 1, 2, 4]
