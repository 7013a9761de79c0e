"""V(s, z^s) of the distillation rewards: what the student's log-ratios will add up to, learned beside the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from legged_cts.algorithms.diagnostics import explained_variance
from legged_cts.algorithms.side_network import SideNetwork, check_keys, network_options
from legged_cts.distillation.placement import return_advantages

PATH = "algorithm.return_head"


@dataclass(frozen=True)
class ReturnHeadOptions:
    """``algorithm.return_head``, for ``distillation.place.baseline: value``.

    The loss has no weight: it is alone with its parameters, and Adam takes the same steps at any scale.
    """

    hidden_dims: tuple[int, ...] = (128, 64)
    learning_rate: float = 1e-3

    @classmethod
    def from_dict(cls, node: Mapping[str, Any]) -> ReturnHeadOptions:
        """Check the node.

        Raises:
            ValueError: Naming the field and what it may be.
        """
        check_keys(PATH, node, [item.name for item in fields(cls)])
        return cls(*network_options(PATH, node, cls.hidden_dims, cls.learning_rate))


class ReturnHead(SideNetwork):
    """Value of the student for the discounted sum of its sampled log-ratios ln T(a) - ln old(a).

    It is the baseline that a KL of whole trajectories needs: the critic of the task's reward knows nothing of these
    rewards. Calling it takes what the critic sees of s, normalised, and z^s, concatenated; so it is the student's value
    also of states that the teacher drove. It learns from the steps that the student took.
    """

    def __init__(self, options: ReturnHeadOptions, width: int, steps: int, envs: int, device: str) -> None:
        """Build the network and room for what a rollout tells.

        Args:
            options: Its options.
            width: Width of the critic's observation and z^s together.
            steps: Steps T of a rollout.
            envs: Environments N.
            device: Device of the learner.
        """
        super().__init__(width, options.hidden_dims, options.learning_rate, device)
        self._time_outs = torch.zeros(steps, envs, dtype=torch.bool, device=device)
        self._last = torch.zeros(envs, width, device=device)
        self._targets: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def record(self, step: int, time_outs: torch.Tensor) -> None:
        """Remember which episodes a time limit cut off in a step of the rollout, bool [N]."""
        self._time_outs[step] = time_outs

    def close(self, inputs: torch.Tensor) -> None:
        """Remember the inputs [N, width] of the states after the rollout's last step."""
        self._last.copy_(inputs)

    @torch.no_grad()
    def advantages(
        self,
        inputs: torch.Tensor,
        log_ratio: torch.Tensor,
        dones: torch.Tensor,
        teacher_acts: torch.Tensor,
        gamma: float,
        lam: float,
    ) -> torch.Tensor:
        """Advantages [T, N] of the rollout, see ``return_advantages``; ``fit`` then learns their returns.

        Args:
            inputs: Inputs of every step [T, N, width].
            log_ratio: Sampled log-ratios [T, N].
            dones: Ends of episodes [T, N].
            teacher_acts: Who took each step, bool [T, N]; the sum ends where another one takes over.
            gamma: Discount of the log-ratios.
            lam: GAE's weight.
        """
        values = self(inputs)
        found = return_advantages(
            log_ratio, dones, gamma, values=values, last_values=self(self._last), lam=lam, acting=teacher_acts,
            time_outs=self._time_outs,
        )  # fmt: skip
        student = ~teacher_acts
        self._targets = inputs[student], values[student], (found + values)[student]
        return found

    def fit(self, epochs: int, batches: int) -> dict[str, float]:
        """Regress the returns of the last ``advantages``, one step of Adam per mini-batch.

        Args:
            epochs: Passes over the student's steps.
            batches: Mini-batches per pass.

        Returns:
            Before these steps: ``loss``, the mean squared error, and the ``explained_variance`` of the returns. Nothing
            without a step of the student, or without new advantages.
        """
        (x, values, returns), self._targets = self._targets or (torch.empty(0),) * 3, None
        if not len(x):
            return {}
        numbers = torch.stack([(values - returns).square().mean(), explained_variance(values, returns)]).tolist()
        for _ in range(epochs):
            for i in range(min(batches, len(x))):
                rows = slice(i, None, batches)
                self._step((self(x[rows]) - returns[rows]).square().mean())
        return dict(zip(("loss", "explained_variance"), numbers, strict=True))
