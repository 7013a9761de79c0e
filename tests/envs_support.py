"""Environments of the tests, built in the process of the test: starting one of its own costs ten seconds more."""

from contextlib import contextmanager

import torch
from hydra import compose, initialize_config_dir

from legged_cts.envs.builder import tasks_dir
from legged_cts.envs.launch import make_env

torch.set_num_threads(1)


def composed(*overrides):
    """Compose the training task for the CPU."""
    with initialize_config_dir(str(tasks_dir()), version_base="1.3"):
        return compose("train", ["device=cpu", "physics=mujoco_cpu", *overrides])


NO_CLOCK = ("env.gait=null",)
"""Words for a quadruped that sees no clock: what it sees is counted by hand."""


@contextmanager
def running(*overrides):
    """Yield a running environment."""
    with make_env(composed(*overrides)) as env:
        yield env


def zeros(env):
    """Return actions of zero."""
    return torch.zeros(env.num_envs, env.num_actions)
