"""Every reward term against values worked out by hand, on invented states of two robots with two joints."""

import math
from types import SimpleNamespace

import pytest
import torch

from legged_cts.mdp.rewards import REWARDS

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
    foot_vel_w=torch.tensor([[[1.0, 2.0, 9.0], [0.0, 0.0, 1.0]], [[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]),
    foot_height=torch.tensor([[0.0, 0.1], [0.01, -0.02]]),
    foot_sensor_ids=torch.tensor([2, 0]),
    sensor=SimpleNamespace(
        compute_first_contact=lambda dt: SimpleNamespace(torch=torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])),
        data=SimpleNamespace(last_air_time=SimpleNamespace(torch=torch.tensor([[0.7, 9.0, 9.0], [9.0, 9.0, 0.2]]))),
    ),
)
STATE.current = lambda: STATE


def constant(values):
    return torch.tensor(values)


ENV = SimpleNamespace(
    state=STATE,
    command=torch.tensor([[1.0, 0.0, 0.4], [0.0, 0.0, 0.0]]),
    step_dt=0.02,
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
    "feet_regulation": ({"height": 0.4}, [5.0, 4.0 * math.exp(-0.01 / 0.01) + 1.0]),
    "hip_default": ({"joints": (1,)}, [0.4, 0.7]),
    # Feet are sensors 2 and 0. Robot 0: foot 1 lands after 0.7 s. Robot 1 is told to stand.
    "feet_air_time": ({"threshold": 0.5}, [0.2, 0.0]),
}


def test_no_term_goes_untested():
    assert set(CASES) == set(REWARDS)


@pytest.mark.parametrize("name", CASES)
def test_value(name):
    params, expected = CASES[name]
    torch.testing.assert_close(REWARDS[name](ENV, **params), torch.tensor(expected), atol=1e-6, rtol=1e-5)
