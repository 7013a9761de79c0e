"""From a checkpoint to its algorithm, without a simulator."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from tensordict import TensorDict

from legged_cts.algorithms.config import runner_cfg
from legged_cts.envs.privileged import PRIVILEGED_GROUPS
from legged_cts.training.average import averaged
from legged_cts.training.foreign import check_weights
from legged_cts.trust.names import resolve
from legged_cts.trust.plain import building


def trained_algorithm(checkpoint: Mapping[str, Any]) -> Any:
    """Builds the algorithm of a checkpoint on the CPU with its trained policies, ready to act.

    Their weights are the mean over the last iterations, see `legged_cts.training.average`.

    Args:
        checkpoint: with `config`, `env_info` and the algorithm's state.

    Raises:
        ValueError: if the weights are not finite, or the networks cannot be built or are not those of the weights.
    """
    check_weights(checkpoint)
    algorithm = construct_algorithm(checkpoint)
    with building("checkpoint: its weights do not fit its networks"):
        algorithm.load(averaged(checkpoint), {"actor": True}, True)
        algorithm.eval_mode()
    return algorithm


def construct_algorithm(checkpoint: Mapping[str, Any]) -> Any:
    """Builds the algorithm of a checkpoint on the CPU with fresh weights, on zeros in place of a simulator.

    Args:
        checkpoint: with `config` and `env_info`.

    Raises:
        ValueError: if it cannot be built from what the checkpoint says.
    """
    with building("checkpoint: its algorithm cannot be built"):
        return _construct(checkpoint)


def _construct(checkpoint: Mapping[str, Any]) -> Any:
    config, info = checkpoint["config"], checkpoint["env_info"]
    # Enough environments for both roles to occur at any sensible share of teachers.
    count, n = 64, info["proprioception"]
    observations = TensorDict(
        {
            "proprioception": torch.zeros(count, n),
            "history": torch.zeros(count, info["history_length"], n),
            **{name: torch.zeros(count, info[name]) for name in PRIVILEGED_GROUPS if name in info},
        },
        batch_size=[count],
    )
    env = SimpleNamespace(num_envs=count, num_actions=info["actions"], device="cpu")
    runner = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    # What matters to rollouts alone.
    runner |= {"num_steps_per_env": 1, "multi_gpu": None, "torch_compile_mode": None, "exact_symmetry": False}
    runner["algorithm"].pop("symmetry_cfg", None)
    algorithm_class: Any = resolve(runner["algorithm"]["class_name"])
    with contextlib.redirect_stdout(io.StringIO()):  # rsl_rl prints every network
        return algorithm_class.construct_algorithm(observations, env, runner, "cpu")
