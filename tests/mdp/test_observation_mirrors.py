"""Every observation term knows its mirror: hand-checked layouts, frames of reference, and no silent gap."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from isaaclab.managers import ObservationTermCfg

from legged_cts.mdp import observations as obs
from legged_cts.mdp.mirrors import term_mirror
from legged_cts.robots.gait import Gait
from legged_cts.robots.proprioception import TERMS, frame_mirror, layout
from legged_cts.robots.spec import load_robot

GO2 = load_robot("go2")


def test_frame_by_hand():
    joints = np.arange(1, 13)
    x = np.concatenate([[1, 2, 3], [4, 5, 6], [7, 8, 9], joints, 100 * joints, 10000 * joints])
    mirrored = np.array([-4, 5, 6, -1, 2, 3, -10, 11, 12, -7, 8, 9])
    expected = np.concatenate([[-1, 2, -3], [4, -5, 6], [7, -8, -9], mirrored, 100 * mirrored, 10000 * mirrored])
    assert frame_mirror(GO2, None)(x).tolist() == expected.tolist()


def test_frame_with_a_clock_has_it_at_the_end():
    tron1 = load_robot("tron1")
    gait = Gait(frequency=2.0, offsets=(0.0, 0.5), duty=0.5, foot_height=0.1)
    mirror = frame_mirror(tron1, gait)
    assert len(mirror) == sum(size for _, size, _ in layout(6, dict.fromkeys(TERMS, 1), True))
    assert mirror.index[-2:].tolist() == [27, 28] and mirror.sign[-2:].tolist() == [-1, -1]


JOINTS = [-4, 5, 6, -1, 2, 3, -10, 11, 12, -7, 8, 9]
PLAIN = [abs(joint) for joint in JOINTS]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("base_lin_vel", [1, -2, 3]),
        ("foot_contact_force", [2, 1, 4, 3]),
        ("foot_height", [2, 1, 4, 3]),
        ("joint_torque", JOINTS),
        ("joint_acc", JOINTS),
        ("friction", [1]),
        ("added_mass", [1]),
        ("com_shift", [1, -2, 3]),
        ("gain_scale", [*PLAIN, *(12 + joint for joint in PLAIN)]),
        ("action_delay", [1]),
        ("push", [1, -2, -3]),
    ],
)
def test_privileged_terms_by_hand(name, expected):
    mirror = term_mirror(obs.PRIVILEGED[name], GO2)
    assert mirror(np.arange(1, len(expected) + 1)).tolist() == expected


def test_the_scan_changes_its_sides_and_not_its_ends():
    mirror = term_mirror(obs.height_scan, GO2)
    grid = obs.scan_grid("cpu").numpy()
    assert len(mirror) == len(grid)
    np.testing.assert_allclose(grid[mirror.index], grid * [1, -1], atol=1e-7)
    assert (mirror.sign == 1).all()


def test_every_term_has_a_mirror():
    for robot in ("go2", "go1", "tron1", "g1", "g1_12"):
        spec = load_robot(robot)
        for term in (*obs.PRIVILEGED.values(), obs.height_scan):
            assert len(term_mirror(term, spec)) > 0


def test_a_new_term_without_a_mirror_is_refused(monkeypatch):
    def foot_slip(env, state):
        return state.foot_slip

    with pytest.raises(ValueError, match="observation term 'foot_slip' has no mirror; declare it with @mirrors_as"):
        obs.observation_mirror(ObservationTermCfg(func=foot_slip), GO2, None)
    monkeypatch.setitem(obs.PRIVILEGED, "foot_slip", foot_slip)
    term = ObservationTermCfg(func=obs.privileged, params={"terms": ("friction", "foot_slip")})
    with pytest.raises(ValueError, match="'foot_slip' has no mirror"):
        obs.observation_mirror(term, GO2, None)


def test_a_state_is_its_frame_and_its_terms():
    term = ObservationTermCfg(func=obs.privileged, params={"terms": ("base_lin_vel", "foot_height")})
    mirror = obs.observation_mirror(term, GO2, None)
    x = np.arange(45.0 + 3 + 4)
    expected = [*frame_mirror(GO2, None)(x[:45]), 45, -46, 47, 49, 48, 51, 50]
    assert mirror(x).tolist() == expected


def test_a_push_is_seen_in_the_heading_frame():
    """A shove along the world's x hits a robot that looks along y on its right side, and one that looks along -y on
    its left."""
    env = SimpleNamespace(push_velocity=torch.tensor([[0.4, 0.0, 0.2]]).repeat(3, 1))
    state = SimpleNamespace(yaw=torch.tensor([0.0, torch.pi / 2, -torch.pi / 2]))
    expected = torch.tensor([[0.4, 0.0, 0.2], [0.0, -0.4, 0.2], [0.0, 0.4, 0.2]])
    torch.testing.assert_close(obs.push(env, state), expected, atol=1e-6, rtol=0.0)


def test_a_mirrored_world_gives_a_mirrored_push():
    generator = torch.Generator().manual_seed(0)
    change, yaw = torch.randn(50, 3, generator=generator), 6 * torch.rand(50, generator=generator) - 3
    here = obs.push(SimpleNamespace(push_velocity=change), SimpleNamespace(yaw=yaw))
    flip = torch.tensor([1.0, -1.0, -1.0])
    there = obs.push(SimpleNamespace(push_velocity=change * flip), SimpleNamespace(yaw=-yaw))
    mirror = term_mirror(obs.push, GO2)
    torch.testing.assert_close(there, torch.as_tensor(mirror(here.numpy())), atol=1e-6, rtol=1e-6)
