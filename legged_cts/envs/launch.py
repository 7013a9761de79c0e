"""Starts the simulator and yields the environment as rsl_rl wants it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig


@contextmanager
def make_env(cfg: DictConfig | Mapping[str, Any], args: argparse.Namespace | dict | None = None) -> Iterator[Any]:
    """Build the environment of a composed configuration and close it at the end.

    Args:
        cfg: The composed configuration.
        args: Launcher arguments of :func:`isaaclab.app.add_launcher_args`, if a command line was parsed.

    Yields:
        An ``isaaclab_rl.rsl_rl.RslRlVecEnvWrapper`` around :class:`legged_cts.envs.env.LeggedEnv`.
    """
    from isaaclab.app import launch_simulation

    from legged_cts.envs.builder import build_env_cfg

    env_cfg = build_env_cfg(cfg)
    with launch_simulation(env_cfg, args):
        from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper

        from legged_cts.envs.env import LeggedEnv

        env = RslRlVecEnvWrapper(LeggedEnv(env_cfg))
        try:
            yield env
        finally:
            env.close()
