"""The mirror of every observation group of every robot, from the configuration; and the function that rsl_rl calls."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from envs_support import composed
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg
from tensordict import TensorDict

from legged_cts.envs.builder import build_env_cfg
from legged_cts.envs.morphology import morphology_override
from legged_cts.envs.symmetry import EnvironmentMirror, group_mirrors, mirror
from legged_cts.mdp import observations as obs
from legged_cts.robots.spec import load_robot

ROBOTS = ("go2", "go1", "tron1", "g1", "g1_12")


@cache
def env_cfg(robot: str, terrain: str):
    words = [f"robot={robot}", f"terrain={terrain}", "env.scene.num_envs=2"]
    return build_env_cfg(composed(*words, *morphology_override(words)))


def random_obs(cfg, count: int) -> TensorDict:
    generator = torch.Generator().manual_seed(0)
    shapes = {name: (count, len(m)) for name, m in group_mirrors(cfg).items()}
    shapes["history"] = (count, 5, shapes["history"][1])
    return TensorDict({name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}, [count])


@pytest.mark.parametrize("terrain", ["flat", "rough"])
@pytest.mark.parametrize("robot", ROBOTS)
def test_groups_have_the_sizes_of_their_terms(robot, terrain):
    cfg, spec = env_cfg(robot, terrain), load_robot(robot)
    d, feet = len(spec.joints), len(spec.feet)
    frame = 9 + 3 * d + (0 if cfg.gait is None else 2)
    # base_lin_vel, force and height of feet, torque and acceleration, friction, mass, com_shift, gains, delay, push
    privileged = frame + 3 + 2 * feet + 2 * d + 1 + 1 + 3 + 2 * d + 1 + 3
    sizes = {"history": frame, "proprioception": frame, "privileged": privileged}
    scan = {"height_scan": 187} if terrain == "rough" else {}
    assert {name: len(found) for name, found in group_mirrors(cfg).items()} == sizes | scan


@pytest.mark.parametrize("terrain", ["flat", "rough"])
@pytest.mark.parametrize("robot", ROBOTS)
def test_twice_is_the_identity_and_once_is_not(robot, terrain):
    cfg = env_cfg(robot, terrain)
    env = SimpleNamespace(unwrapped=SimpleNamespace(mirror=EnvironmentMirror.of(cfg, "cpu")))
    given = random_obs(cfg, 4)
    actions = torch.randn(4, len(load_robot(robot).joints))
    once, once_actions = mirror(env=env, obs=given, actions=actions)
    image = once[4:]
    twice, twice_actions = mirror(env=env, obs=image, actions=once_actions[4:])
    assert set(once.keys()) == set(given.keys()) and once.batch_size == torch.Size([8])
    for name in given.keys():
        assert torch.equal(once[name][:4], given[name]) and torch.equal(twice[name][4:], given[name])
        assert not torch.equal(image[name], given[name])
        assert image[name].norm() == pytest.approx(given[name].norm().item(), rel=1e-5)  # a permutation with signs
    assert torch.equal(once_actions[:4], actions) and torch.equal(twice_actions[4:], actions)
    assert not torch.equal(once_actions[4:], actions)


def test_every_frame_of_the_history_is_mirrored_like_the_newest():
    cfg = env_cfg("go2", "flat")
    images = EnvironmentMirror.of(cfg, "cpu")
    history = torch.randn(3, 5, 47)
    image = images.observations(TensorDict({"history": history}, [3]))["history"][3:]
    for frame in range(5):
        expected = images.observations(TensorDict({"proprioception": history[:, frame]}, [3]))["proprioception"][3:]
        assert torch.equal(image[:, frame], expected)


def test_the_scan_is_mirrored_wherever_it_stands():
    """In a group of its own or behind other terms, a term's mirror is the same."""
    cfg = env_cfg("go2", "flat")
    scan = ObservationTermCfg(func=obs.height_scan)
    other = SimpleNamespace(robot=cfg.robot, gait=None, observations=SimpleNamespace())
    other.observations.height_scan, other.observations.mixed = ObservationGroupCfg(), ObservationGroupCfg()
    other.observations.height_scan.heights = scan
    other.observations.mixed.frame, other.observations.mixed.heights = ObservationTermCfg(func=obs.newest_frame), scan
    found = group_mirrors(other)
    heights = np.arange(187.0)
    expected = heights.reshape(17, 11)[:, ::-1].ravel()
    assert np.array_equal(found["height_scan"](heights), expected)
    assert np.array_equal(found["mixed"](np.concatenate([np.zeros(45), heights]))[45:], expected)


def test_none_stays_none():
    """rsl_rl mirrors observations alone, and actions alone."""
    cfg = env_cfg("go2", "flat")
    env = SimpleNamespace(unwrapped=SimpleNamespace(mirror=EnvironmentMirror.of(cfg, "cpu")))
    assert mirror(env=env, obs=None, actions=torch.zeros(2, 12))[0] is None
    assert mirror(env=env, obs=random_obs(cfg, 2), actions=None)[1] is None


@pytest.mark.parametrize("group", [{"camera": torch.zeros(2, 3)}, {"proprioception": torch.zeros(2, 44)}])
def test_a_group_that_is_not_the_environments_is_named(group):
    images = EnvironmentMirror.of(env_cfg("go2", "flat"), "cpu")
    with pytest.raises(ValueError, match=f"group '{next(iter(group))}' .* has no mirror; there are history \\[47\\]"):
        images.observations(TensorDict(group, [2]))
