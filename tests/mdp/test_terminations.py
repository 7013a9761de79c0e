"""Terminations on invented states."""

import math
from types import SimpleNamespace

import pytest
import torch

from legged_cts.mdp.terminations import TERMINATIONS
from legged_cts.mdp.terrain_heights import TerrainHeights


def env(**state):
    state = SimpleNamespace(exploded=torch.tensor([False, False, True]), **state)
    state.current = lambda: state
    return SimpleNamespace(
        state=state,
        num_envs=3,
        device="cpu",
        robot_spec=SimpleNamespace(nominal_height=0.3),
        episode_length_buf=torch.tensor([999, 1000, 5]),
        max_episode_length=1000,
    )


def check(name, expected, params=None, **state):
    assert TERMINATIONS[name](env(**state), **(params or {})).tolist() == expected


def test_time_out():
    check("time_out", [False, True, False])


def test_exploded_world():
    check("nan_state", [False, False, True])


def test_base_contact():
    check("base_contact", [False, True, False], {"threshold": 1.0}, base_force=torch.tensor([0.9, 1.1, 0.0]))


def test_tilt_ignores_exploded_worlds():
    gravity = torch.tensor([[0, math.sin(0.9), -math.cos(0.9)], [math.sin(1.1), 0, -math.cos(1.1)], [0, 0, 0]])
    check("tilt", [False, True, False], {"limit": 1.0}, gravity_b=gravity)


def test_low_base_ignores_exploded_worlds():
    check("low_base", [False, True, False], {"fraction": 0.5}, base_height=torch.tensor([0.16, 0.14, 0.0]))


@pytest.mark.parametrize(
    ("position", "off"), [((0.0, 0.0), False), ((4.1, 0.0), True), ((0.0, -9.2), True), ((3.9, 8.9), False)]
)
def test_off_terrain(position, off):
    heights = TerrainHeights(torch.zeros(11, 21), origin=(-5.0, -10.0), spacing=1.0)
    root = torch.tensor([[*position, 0.3]]).repeat(3, 1)
    check("off_terrain", [off] * 3, {"margin": 1.0}, root_pos_w=root, heights=heights)


def test_no_one_leaves_an_endless_plane():
    check("off_terrain", [False] * 3, root_pos_w=torch.full((3, 3), 1e3), heights=TerrainHeights(None))
