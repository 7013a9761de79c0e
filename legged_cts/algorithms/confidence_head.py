"""c(o_t, z^s): how likely the student is to stay on its feet, learned beside the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeGuard

import torch
from rsl_rl.modules import MLP
from torch import nn

from legged_cts.distillation.confidence import confidence_loss, steps_to_teacher, survival_targets

PATH = "algorithm.confidence"
MAX_GRAD_NORM = 1.0


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
        known = [item.name for item in fields(cls)]
        for key in node:
            if key not in known:
                raise ValueError(f"unknown key {PATH}.{key}; allowed are: {', '.join(known)}")
        horizon = node.get("horizon")
        if not _is_count(horizon) or horizon > steps:
            raise ValueError(
                f"{PATH}.horizon must be a number of steps from 1 to runner.num_steps_per_env ({steps}), got"
                f" {horizon!r}"
            )
        widths = node.get("hidden_dims", cls.hidden_dims)
        if not isinstance(widths, list | tuple) or not widths or not all(_is_count(width) for width in widths):
            raise ValueError(f"{PATH}.hidden_dims must be a list of widths such as [64], got {widths!r}")
        rate = node.get("learning_rate", cls.learning_rate)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0.0:
            raise ValueError(f"{PATH}.learning_rate must be a positive number, got {rate!r}")
        return cls(horizon, tuple(widths), float(rate))


class ConfidenceHead(nn.Module):
    """MLP that gives the logit of the student's survival over the next H steps (CaOPD, adapted).

    It learns from the steps that the student drove, never from the teacher's, by an Adam of its own. Its inputs carry
    no gradient, and neither its weights nor its mini-batches draw from the global random numbers: the policy is the
    same with it and without it, bit by bit.

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
        super().__init__()
        self.options = options
        with torch.random.fork_rng(devices=[]):
            self.mlp = MLP(width, 1, list(options.hidden_dims), "elu")
        self.to(device)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=options.learning_rate)
        self._time_outs = torch.zeros(steps, envs, dtype=torch.bool, device=device)
        self._steps_left = torch.zeros(steps, envs, dtype=torch.long, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [...] for normalised o_t and z^s, concatenated [..., width]."""
        return self.mlp(x).squeeze(-1)

    def record(self, step: int, extras: Mapping[str, Any], steps_left: torch.Tensor) -> None:
        """Remember a step of the rollout.

        Args:
            step: Its number in the rollout.
            extras: What the environment returned; without ``time_outs`` every end of an episode is a fall.
            steps_left: ``Driver.steps_left`` [N] before the step.
        """
        time_outs = extras.get("time_outs")
        self._time_outs[step] = False if time_outs is None else time_outs.to(self._time_outs.device).bool()
        self._steps_left[step] = steps_left

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

    def _step(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        # An observation that is not finite must not end the head.
        if bool(nn.utils.clip_grad_norm_(self.parameters(), MAX_GRAD_NORM).isfinite()):
            self.optimizer.step()


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
