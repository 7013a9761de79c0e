"""Every reward term against values worked out by hand, on invented states of two robots with two joints."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from legged_cts.mdp import rewards
from legged_cts.mdp.state import RobotState
from legged_cts.mdp.terrain_heights import TerrainHeights
from legged_cts.robots.gait import Gait

REWARDS: dict[str, Any] = rewards.REWARDS

STATE = SimpleNamespace(
    lin_vel_b=torch.tensor([[0.5, 0.0, 0.2], [1.0, -1.0, -0.5]]),
    ang_vel_b=torch.tensor([[0.1, 0.2, 0.4], [0.0, 2.0, -1.0]]),
    gravity_b=torch.tensor([[0.0, 0.0, -1.0], [0.6, 0.0, -0.8]]),
    joint_pos=torch.tensor([[0.1, -0.9], [0.5, 0.2]]),
    joint_vel=torch.tensor([[1.0, -2.0], [0.0, 3.0]]),
    joint_acc=torch.tensor([[10.0, -20.0], [0.0, 100.0]]),
    joint_torque=torch.tensor([[3.0, 4.0], [-1.0, -2.0]]),
    default_joint_pos=torch.tensor([0.1, -0.5]),
    base_height=torch.tensor([0.30, 0.43]),
    penalized_force=torch.tensor([[0.0, 0.05, 0.0], [5.0, 0.2, 0.0]]),
    foot_vel_w=torch.tensor([[[1.0, 2.0, 9.0], [0.0, 0.0, 1.0]], [[2.0, 0.0, -0.5], [1.0, 0.0, 0.0]]]),
    foot_height=torch.tensor([[0.0, 0.1], [0.01, -0.02]]),
    foot_force=torch.tensor([[30.0, 0.0], [0.0, 15.0]]),
    foot_contact=torch.tensor([[True, False], [False, True]]),
    foot_level=torch.tensor([[1.0, 0.8], [0.6, 1.0]]),
    foot_pos_w=torch.tensor([[[0.0, 0.1, 0.0], [0.3, -0.1, 0.0]], [[0.05, 1.0, 0.0], [-0.05, 3.0, 0.0]]]),
    yaw=torch.tensor([0.0, math.pi / 2]),
    foot_sensor_ids=torch.tensor([2, 0]),
    sensor=SimpleNamespace(
        compute_first_contact=lambda dt: SimpleNamespace(torch=torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])),
        data=SimpleNamespace(last_air_time=SimpleNamespace(torch=torch.tensor([[0.7, 9.0, 9.0], [9.0, 9.0, 0.2]]))),
    ),
)
STATE.current = lambda: STATE


def constant(values):
    return torch.tensor(values)


ENV: Any = SimpleNamespace(
    state=STATE,
    command=torch.tensor([[1.0, 0.0, 0.4], [0.0, 0.0, 0.0]]),
    step_dt=0.02,
    num_envs=2,
    robot_spec=SimpleNamespace(total_mass=100.0 / 9.81),
    gait=SimpleNamespace(
        gait=Gait(frequency=2.0, offsets=(0.0, 0.5), duty=0.5, foot_height=0.05),
        rests=lambda command: torch.tensor([[False], [False]]),
        foot_phase=torch.tensor([[0.2, 0.7], [0.8, 0.1]]),
        stance=torch.tensor([[1.0, 0.0], [0.5, 1.0]]),
        swing_height=torch.tensor([[0.0, 0.05], [0.03, 0.0]]),
    ),
    constant=constant,
    joint_action=SimpleNamespace(
        action=torch.tensor([[1.0, 0.0], [0.5, -0.5]]),
        previous_action=torch.tensor([[0.0, 0.0], [0.5, 0.5]]),
        older_action=torch.tensor([[0.0, 2.0], [0.5, 0.0]]),
    ),
)

CASES = {
    "track_lin_vel": ({"sigma": 0.25}, [math.exp(-0.25 / 0.25), math.exp(-2.0 / 0.25)]),
    "track_yaw_rate": ({"sigma": 0.5}, [1.0, math.exp(-1.0 / 0.5)]),
    "lin_vel_z": ({}, [0.04, 0.25]),
    "ang_vel_xy": ({}, [0.05, 4.0]),
    "orientation": ({}, [0.0, 0.36]),
    "joint_acc": ({}, [500.0, 10000.0]),
    "power": ({}, [3.0 + 8.0, 6.0]),
    "torques": ({}, [25.0, 5.0]),
    "base_height": ({"target": 0.33}, [0.0009, 0.01]),
    "action_rate": ({}, [1.0, 1.0]),
    "action_smoothness": ({}, [1.0 + 4.0, 0.0 + 2.25]),
    "collision": ({"threshold": 0.1}, [0.0, 2.0]),
    "joint_limits": ({"lower": (0.0, -0.8), "upper": (0.4, 0.8)}, [0.1, 0.1]),
    # Robot 0: (1 + 4) at height 0, and a foot at rest. Robot 1: 4 at 1 cm; a foot below the ground counts as on it.
    "feet_regulation": ({"reach": 0.01}, [5.0, 4.0 * math.exp(-0.01 / 0.01) + 1.0]),
    "hip_default": ({"joints": (1,)}, [0.4, 0.7]),
    # Feet are sensors 2 and 0. Robot 0: foot 1 lands after 0.7 s. Robot 1 is told to stand.
    "feet_air_time": ({"threshold": 0.5}, [0.2, 0.0]),
    # A foot is loaded from 10 N on. Robot 0: foot 0 stands, moving at sqrt(86) m/s; foot 1 swings freely. Robot 1:
    # foot 0 is free when it should half stand; foot 1 stands with 15 N, moving at 1 m/s.
    "gait_contact": (
        {"force": 0.1, "speed": 10.0},
        [
            0.5 * (math.exp(-0.86) * (1.0 - math.exp(-9.0)) + 1.0),
            0.5 * (0.5 + math.exp(-0.01) * (1.0 - math.exp(-2.25))),
        ],
    ),
    # In swing are foot 1 of robot 0, 5 cm too high, and foot 0 of robot 1, 2 cm too low.
    "swing_height": ({}, [1.0, 0.16]),
    # Robot 0 stands 20 cm wide. Robot 1 looks along y, so its left foot should be at the smaller x: its legs cross.
    "feet_distance": ({"left": (0,), "right": (1,), "minimum": (0.25,)}, [0.05, 0.35]),
    # Only foot 0 of robot 1 is in the air, near the ground and moving down.
    "feet_landing_vel": ({"height": 0.05}, [0.0, 0.25]),
    "feet_slip": ({}, [5.0, 1.0]),
    # Feet at 0 and 10 cm, the first at sqrt(5) m/s; feet at 1 and -2 cm at 2 and 1 m/s.
    "feet_clearance": ({"height": 0.06}, [0.0036 * 5**0.5, 0.0025 * 2 + 0.0064 * 1]),
    "feet_orientation": ({}, [0.36, 0.64]),
    "alive": ({}, [1.0, 1.0]),
    "posture": ({"weights": (1.0, 0.5)}, [0.08, 0.16 + 0.245]),
}


def test_no_term_goes_untested():
    assert set(CASES) == set(REWARDS)


@pytest.mark.parametrize("name", CASES)
def test_value(name):
    params, expected = CASES[name]
    torch.testing.assert_close(REWARDS[name](ENV, **params), torch.tensor(expected), atol=1e-6, rtol=1e-5)


def test_feet_swing_over_the_highest_ground_around_them(monkeypatch):
    state = SimpleNamespace(**vars(STATE), heights=SimpleNamespace(is_flat=False))
    state.current = lambda: state
    # 15 cm higher ground beside foot 1 of robot 0: its apex lies at 20 cm, and it is at 10. 5 cm beside foot 0 of
    # robot 1: it should be at 6 of 10 cm, and is at 1.
    state.rise_around_feet = lambda radius: torch.tensor([[0.0, radius], [0.05, 0.0]])
    monkeypatch.setattr(ENV, "state", state)
    value = REWARDS["swing_height"](ENV, around=0.15)
    torch.testing.assert_close(value, torch.tensor([0.25, 0.25]))


def test_ground_around_feet():
    grid = torch.zeros(41, 41)
    grid[30:] = 0.2  # from x = 1 m on
    grid[:10] = -0.3
    feet = torch.tensor([[[0.85, 0.0, 0.5], [1.5, 0.0, 0.5], [0.0, 0.0, 0.5], [-0.9, 0.0, 0.0]]])
    heights = TerrainHeights(grid, (-2.0, -2.0), 0.1)
    state = SimpleNamespace(_env=ENV, foot_pos_w=feet, heights=heights, foot_ground=heights.sample(feet[..., :2]))
    rise = RobotState.rise_around_feet(state, 0.15)
    torch.testing.assert_close(rise, torch.tensor([[0.2, 0.0, 0.0, 0.0]]))


def test_a_robot_told_to_stand_may_keep_all_feet_down(monkeypatch):
    # Robot 1 has the command zero. Its foot 0 is in the air, and that is no longer half right.
    moving = REWARDS["gait_contact"](ENV, force=0.1, speed=10.0)[0]
    monkeypatch.setattr(ENV.gait, "rests", lambda command: command.norm(dim=1, keepdim=True) < 0.1)
    value = REWARDS["gait_contact"](ENV, force=0.1, speed=10.0)
    expected = 0.5 * math.exp(-0.01) * (1.0 - math.exp(-2.25))
    torch.testing.assert_close(value[1], torch.tensor(expected))
    torch.testing.assert_close(value[0], moving)
    torch.testing.assert_close(REWARDS["swing_height"](ENV), torch.tensor([1.0, 0.0]))


def test_posture_as_a_reward():
    value = REWARDS["posture"](ENV, weights=(1.0, 0.5), sigma=0.1)
    torch.testing.assert_close(value, torch.tensor([math.exp(-0.8), math.exp(-4.05)]))
