"""Starts the simulator and yields the environment as rsl_rl wants it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from legged_cts.trust.plain import building

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv


@contextmanager
def make_env(
    cfg: DictConfig | Mapping[str, Any],
    args: argparse.Namespace | dict | None = None,
    log: Path | None = None,
) -> Iterator[Any]:
    """Build the environment of a composed configuration and close it at the end.

    Args:
        cfg: The composed configuration.
        args: Launcher arguments of :func:`isaaclab.app.add_launcher_args`, if a command line was parsed.
        log: File that takes what the libraries print while they set up, see :func:`setup_output`.

    Yields:
        An ``isaaclab_rl.rsl_rl.RslRlVecEnvWrapper`` around :class:`legged_cts.envs.env.LeggedEnv`.
    """
    failure: Exception | None = None
    with ExitStack() as stack:
        try:
            with setup_output(log):
                from isaaclab.app import launch_simulation

                from legged_cts.envs.builder import build_env_cfg

                with building("the task cannot be built from its configuration"):
                    env_cfg = build_env_cfg(cfg)
                stack.enter_context(launch_simulation(env_cfg, args))
                from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper

                from legged_cts.envs.env import LeggedEnv

                env = RslRlVecEnvWrapper(LeggedEnv(env_cfg))
                stack.callback(env.close)
            yield env
        except Exception as error:
            # Isaac Lab prints the trace of what passes through its launcher, a user's wrong word included.
            failure = error
    if failure is not None:
        raise failure


def open_env(cfg: DictConfig | Mapping[str, Any]) -> LeggedEnv:
    """Build the environment of a composed configuration, without a wrapper; its ``close`` ends the simulation.

    Args:
        cfg: The composed configuration.
    """
    from legged_cts.robots.usd import cache_dir

    with setup_output(cache_dir() / "setup.log"), ExitStack() as stack:
        from isaaclab.app import launch_simulation

        from legged_cts.envs.builder import build_env_cfg

        with building("the task cannot be built from its configuration"):
            env_cfg = build_env_cfg(cfg)
        stack.enter_context(launch_simulation(env_cfg, None))
        from legged_cts.envs.env import LeggedEnv

        env = LeggedEnv(env_cfg)
        env.launched = stack.pop_all()
    return env


@contextmanager
def setup_output(log: Path | None) -> Iterator[None]:
    """Send what is printed to a file instead of the terminal; with None it stays there.

    Simulator and networks describe themselves in some 200 lines, which would bury the progress of a training. Errors
    are exceptions and reach the terminal all the same.

    Args:
        log: File to write; its folder is made if need be.
    """
    if log is None:
        yield
        return
    print(f"setting up the simulation (half a minute more at the first start); details: {log}", file=sys.stderr)
    log.parent.mkdir(parents=True, exist_ok=True)
    # Never closed: loggers that are made here keep writing to it while the simulation runs.
    stream = log.open("w", buffering=1)
    with redirect_stdout(stream), redirect_stderr(stream):
        yield
