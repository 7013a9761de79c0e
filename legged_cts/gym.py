"""The shipped robots' tasks by Gymnasium's names, each on flat and on rough ground; importing this registers them.

``gymnasium.make("legged_cts.gym:LeggedCTS-Go2-Flat-v0", num_envs=64)`` imports it by itself. Isaac Lab's own command
line trains with our algorithms on the stock runner:

``isaaclab train --rl_library rsl_rl --task LeggedCTS-Go2-Flat-v0 --external_callback legged_cts.gym.register``
"""

from __future__ import annotations

from typing import Any

import gymnasium

from legged_cts import beside

GROUNDS = ("flat", "rough")


def tasks() -> dict[str, tuple[str, str]]:
    """Return robot and terrain by Gymnasium's identifier."""
    robots = sorted(path.parent.name for path in beside("assets").glob("robots/*/robot.yaml"))
    grounds = [(robot, ground) for robot in robots for ground in GROUNDS]
    return {f"LeggedCTS-{robot.capitalize()}-{ground.capitalize()}-v0": (robot, ground) for robot, ground in grounds}


def register() -> None:
    """Register the tasks; registering twice does nothing."""
    for name, (robot, terrain) in tasks().items():
        if name in gymnasium.registry:
            continue
        gymnasium.register(
            id=name,
            entry_point="legged_cts.door:make_env",
            disable_env_checker=True,
            kwargs={
                "robot": robot,
                "terrain": terrain,
                # Isaac Lab asks a callable for its source file, which only functions have.
                "env_cfg_entry_point": lambda robot=robot, terrain=terrain: _env_cfg(robot, terrain),
                "rsl_rl_cfg_entry_point": lambda robot=robot, terrain=terrain: _agent_cfg(robot, terrain),
            },
        )


def _env_cfg(robot: str, terrain: str) -> Any:
    from legged_cts.envs.builder import build_env_cfg
    from legged_cts.envs.stock_runner import compose_registered

    return build_env_cfg(compose_registered(robot, terrain))


def _agent_cfg(robot: str, terrain: str) -> Any:
    from legged_cts.envs.stock_runner import agent_cfg

    return agent_cfg(robot, terrain)


register()
