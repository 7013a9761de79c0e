"""From Python: policies and environments by name, each in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from legged_cts.deploy.policy import OnnxPolicy
    from legged_cts.envs.env import LeggedEnv


def load_policy(policy: str = "go2_flat") -> OnnxPolicy:
    """Return a policy, ready to act; it needs neither torch nor a simulator.

    Args:
        policy: An ONNX file, a folder with one, or the name of a shipped policy.

    Raises:
        FileNotFoundError: If there is none, naming the nearest shipped one.
        ValueError: If it is no policy of this package.
    """
    from legged_cts.deploy.policy import OnnxPolicy
    from legged_cts.deploy.policy_file import policy_file

    return OnnxPolicy(policy_file(policy))


def make_env(
    robot: str | None = None,
    words: Sequence[str] = (),
    *,
    terrain: str | None = None,
    num_envs: int = 64,
    policy: OnnxPolicy | None = None,
    cfg: Any = None,
    render_mode: str | None = None,
    env_cfg_entry_point: Any = None,
    rsl_rl_cfg_entry_point: Any = None,
) -> LeggedEnv:
    """Return a training environment, open; a process has one at a time, and ``close`` ends its simulation.

    It is a Gymnasium environment of N robots: ``reset`` and ``step`` give a mapping from observation groups to tensors
    [N, ...], and ``step`` takes actions [N, d]; environments whose episode ends begin anew by themselves. rsl_rl takes
    it in ``isaaclab_rl.rsl_rl.RslRlVecEnvWrapper``.

    Args:
        robot: Name or path to a robot.yaml; by default the policy's, or ``go2``.
        words: As on a command line: ``["randomization=none", "env.rewards.action_rate=-0.02", "trust=my_terms"]``.
        terrain: ``flat``, ``rough`` or another group of the task tree; by default the policy's, or ``flat``.
        num_envs: Number of robots N.
        policy: One to build the task of: what it reads, its gait and its ranges of commands.
        cfg: A whole environment configuration of Isaac Lab's own scripts, in place of all the others.
        render_mode: Isaac Lab's.
        env_cfg_entry_point: What a registered task holds for those scripts; of no account here.
        rsl_rl_cfg_entry_point: The same.

    Raises:
        ValueError: In one line, if a word is wrong.
    """
    if cfg is not None:
        from legged_cts.envs.env import LeggedEnv

        return LeggedEnv(cfg, render_mode)
    from legged_cts.envs.fit import check_task_and_robot
    from legged_cts.envs.launch import open_env
    from legged_cts.evaluation.policies import contract_overrides
    from legged_cts.task.words import check_overrides, plain_words
    from legged_cts.training.compose import compose_task, plain
    from legged_cts.trust.names import take_trust

    own = [f"{key}={value}" for key, value in (("robot", robot), ("terrain", terrain)) if value is not None]
    own += [f"env.scene.num_envs={num_envs}", *take_trust(words)]
    own = plain_words(own)
    check_overrides(own)
    config = plain(compose_task([*([] if policy is None else contract_overrides(policy.contract)), *own]))
    check_task_and_robot(config)
    return open_env(config)
