"""c(o_t, z^s): how likely the student is to stay on its feet, learned beside the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from legged_cts.algorithms.side_network import SideNetwork, check_keys, is_count, network_options
from legged_cts.distillation.confidence import confidence_loss, steps_to_teacher, survival_targets

PATH = "algorithm.confidence"


@dataclass(frozen=True)
class ConfidenceOptions:
    """``algorithm.confidence``.

    The loss has no weight: it is alone with its parameters, and Adam takes the same steps at any scale.
    """

    horizon: int
    """H in control steps, from 1 to those of a rollout."""
    hidden_dims: tuple[int, ...] = (64,)
    learning_rate: float = 1e-3

    @classmethod
    def from_dict(cls, node: Mapping[str, Any], steps: int) -> ConfidenceOptions:
        """Check the node of a training with ``steps`` steps per rollout.

        Raises:
            ValueError: Naming the field and what it may be.
        """
        check_keys(PATH, node, [item.name for item in fields(cls)])
        horizon = node.get("horizon")
        if not is_count(horizon) or horizon > steps:
            raise ValueError(
                f"{PATH}.horizon must be a number of steps from 1 to runner.num_steps_per_env ({steps}), got"
                f" {horizon!r}"
            )
        return cls(horizon, *network_options(PATH, node, cls.hidden_dims, cls.learning_rate))


class ConfidenceHead(SideNetwork):
    """Gives the logit of the student's survival over the next H steps (CaOPD, adapted).

    It learns from the steps that the student drove, never from the teacher's, and its inputs carry no gradient.
    Calling it takes normalised o_t and z^s, concatenated.

    A fall is an end of an episode that is no time-out. Horizons that a time-out cuts are judged only if they fell
    before; near the time limit, which the trainer does not know, that makes the targets slightly pessimistic.
    """

    def __init__(self, options: ConfidenceOptions, width: int, steps: int, envs: int, device: str) -> None:
        """Build the network and room for what a rollout tells.

        Args:
            options: Its options.
            width: Width of o_t and z^s together.
            steps: Steps T of a rollout.
            envs: Environments N.
            device: Device of the learner.
        """
        super().__init__(width, options.hidden_dims, options.learning_rate, device)
        self.options = options
        self._time_outs = torch.zeros(steps, envs, dtype=torch.bool, device=device)
        self._steps_left = torch.zeros(steps, envs, dtype=torch.long, device=device)

    def record(self, step: int, time_outs: torch.Tensor, steps_left: torch.Tensor) -> None:
        """Remember a step of the rollout.

        Args:
            step: Its number in the rollout.
            time_outs: Episodes that a time limit cut off in it, bool [N].
            steps_left: ``Driver.steps_left`` [N] before the step.
        """
        self._time_outs[step], self._steps_left[step] = time_outs, steps_left

    def fit(
        self, inputs: torch.Tensor, dones: torch.Tensor, teacher_acts: torch.Tensor, coins: bool, batches: int
    ) -> dict[str, float]:
        """Take one step of Adam per mini-batch, once over the rollout.

        Args:
            inputs: o_t, normalised, and z^s of every step, without gradient [T, N, width]; those of steps that the
                teacher drove are not read.
            dones: Ends of episodes [T, N].
            teacher_acts: Who drove each step, bool [T, N].
            coins: Whether each step has a coin of its own that decides who drives.
            batches: Number of mini-batches.

        Returns:
            Before these steps, over the judged steps of the student: ``loss``, the binary cross-entropy, and the means
            ``predicted`` and ``observed`` of the survival; the last two are equal for a head that is calibrated in the
            large. Nothing if no step could be judged.
        """
        dones = dones.bool()
        left = torch.minimum(self._steps_left, steps_to_teacher(teacher_acts)) if coins else self._steps_left
        targets, judged = survival_targets(
            dones & ~self._time_outs, dones & self._time_outs, self.options.horizon, teacher_acts, left
        )
        x, y = inputs[judged], targets[judged]
        if not len(x):
            return {}
        counted = torch.ones_like(y, dtype=torch.bool)
        with torch.no_grad():
            logits = self(x)
            numbers = [confidence_loss(logits, y, counted), logits.sigmoid().mean(), y.mean()]
        for i in range(min(batches, len(x))):
            rows = slice(i, None, batches)
            self._step(confidence_loss(self(x[rows]), y[rows], counted[rows]))
        return dict(zip(("loss", "predicted", "observed"), torch.stack(numbers).tolist(), strict=True))
