"""Who acts: the share of steps that the teacher drives, and which steps a policy may learn from by PPO."""

from __future__ import annotations

from typing import Any

import torch

from legged_cts.distillation.names import UNITS
from legged_cts.roles import teacher_mask

NEVER = 2**62
"""Steps until something that is not going to happen."""


class Driver:
    """Decides before every step which environments the teacher drives.

    The teacher's share b is dealt by unit:

    - ``env``: fixed environments, interleaved (CTS with b = 0.75; behaviour cloning with b = 1);
    - ``step``: a coin per environment and step (DAgger);
    - ``episode``: a coin per episode;
    - ``prefix``: in a share b of episodes the teacher drives the first ``length`` steps (TCOD, back to front);
    - ``suffix``: in a share b of episodes the student drives the first ``length`` steps (student-prefix DAgger).
    """

    teacher_acts: torch.Tensor
    """Who acts in the coming step, bool [N]."""

    episode_step: torch.Tensor
    """Steps taken in the running episode, integers [N]; counted from the driver's construction or a reset."""

    handover: torch.Tensor
    """``episode_step`` at which the student last took over from the teacher, else 0 for the reset; integers [N]."""

    def __init__(
        self,
        num_envs: int,
        unit: str = "env",
        share: float | torch.Tensor = 0.0,
        length: int = 0,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        """Start all environments at a reset.

        Args:
            num_envs: N.
            unit: One of ``UNITS``.
            share: b in [0, 1], or one per environment [N] except for the unit ``env``.
            length: Steps until the hand-over, for ``prefix`` and ``suffix``.
            device: Device of all tensors.
            seed: Of the coins.

        Raises:
            ValueError: If an option is unknown or out of range.
        """
        self.num_envs = num_envs
        self.device = torch.device(device)
        self._generator = torch.Generator(device=self.device)
        self._generator.manual_seed(seed)
        self.episode_step = torch.zeros(num_envs, dtype=torch.long, device=self.device)
        self.handover = torch.zeros_like(self.episode_step)
        self._lengths = torch.zeros_like(self.episode_step)
        self._chosen = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self.configure(unit, share, length)
        self._start_episodes(torch.ones_like(self._chosen))
        self.teacher_acts = self._decide()

    def configure(self, unit: str, share: float | torch.Tensor, length: int = 0) -> None:
        """Change the options, say by a schedule; ``advance`` applies them, running episodes keep their length and coin.

        Raises:
            ValueError: If an option is unknown or out of range.
        """
        if unit not in UNITS:
            raise ValueError(f"driver.unit is '{unit}'; allowed are: {', '.join(UNITS)}")
        shares = torch.as_tensor(share, dtype=torch.float, device=self.device)
        if unit == "env" and shares.ndim:
            raise ValueError("driver.share must be one number for driver.unit = env; use unit = episode for cells")
        if shares.ndim and shares.shape != (self.num_envs,):
            raise ValueError(f"driver.share must be one number or [{self.num_envs}], got {tuple(shares.shape)}")
        if bool(((shares < 0.0) | (shares > 1.0)).any()):
            raise ValueError(f"driver.share must lie in [0, 1], got {share}")
        if length < 0:
            raise ValueError(f"driver.length must not be negative, got {length}")
        self.unit, self.share, self.length = unit, shares, length

    def refresh(self) -> None:
        """Let changed options count from the coming step on, where running episodes leave a choice."""
        before = self.teacher_acts
        self.teacher_acts = self._decide()
        self.handover = torch.where(before & ~self.teacher_acts, self.episode_step, self.handover)

    def advance(self, dones: torch.Tensor) -> torch.Tensor:
        """Go one step on, after the environments did.

        Args:
            dones: Ends of episodes, bool [N]; those environments are at their reset now.

        Returns:
            ``teacher_acts`` of the coming step [N].
        """
        dones = dones.bool()
        before = self.teacher_acts
        self.episode_step = torch.where(dones, 0, self.episode_step + 1)
        self._start_episodes(dones)
        self.teacher_acts = self._decide()
        takes_over = before & ~self.teacher_acts & ~dones
        self.handover = torch.where(takes_over, self.episode_step, torch.where(dones, 0, self.handover))
        return self.teacher_acts

    @property
    def steps_left(self) -> torch.Tensor:
        """Steps until the teacher takes over in the running episode, as far as its length tells, integers [N].

        Counts the coming step; ``NEVER`` where no take-over is certain, and 0 or less after one.
        """
        if self.unit != "suffix":
            return torch.full_like(self.episode_step, NEVER)
        return torch.where(self._chosen, self._lengths - self.episode_step, NEVER)

    def state_dict(self) -> dict[str, Any]:
        """Coins, counters and the state of the random numbers; the options come from the configuration."""
        return {
            "teacher_acts": self.teacher_acts,
            "episode_step": self.episode_step,
            "handover": self.handover,
            "lengths": self._lengths,
            "chosen": self._chosen,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``."""
        self.teacher_acts = state["teacher_acts"].to(self.device)
        self.episode_step = state["episode_step"].to(self.device)
        self.handover = state["handover"].to(self.device)
        self._lengths = state["lengths"].to(self.device)
        self._chosen = state["chosen"].to(self.device)
        self._generator.set_state(state["generator"].cpu())

    def _coins(self) -> torch.Tensor:
        return torch.rand(self.num_envs, generator=self._generator, device=self.device) < self.share

    def _start_episodes(self, started: torch.Tensor) -> None:
        # Coins are thrown for all, so that the stream of random numbers does not depend on who was reset.
        self._chosen = torch.where(started, self._coins(), self._chosen)
        self._lengths = torch.where(started, self.length, self._lengths)

    def _decide(self) -> torch.Tensor:
        if self.unit == "env":
            return teacher_mask(self.num_envs, self.share.item(), self.device)
        if self.unit == "step":
            return self._coins()
        if self.unit == "prefix":
            return self._chosen & (self.episode_step < self._lengths)
        if self.unit == "suffix":
            return self._chosen & (self.episode_step >= self._lengths)
        return self._chosen.clone()


def surrogate_mask(teacher_acts: torch.Tensor, learner: str) -> torch.Tensor:
    """Steps that may enter the PPO surrogate of a policy: those in which it acted.

    Args:
        teacher_acts: Who acted, bool [...].
        learner: ``student``, ``teacher``, ``both`` (every step trains the policy that acted) or ``none``.

    Returns:
        Bool [...].

    Raises:
        ValueError: If ``learner`` is unknown.
    """
    masks = {
        "student": ~teacher_acts,
        "teacher": teacher_acts.clone(),
        "both": torch.ones_like(teacher_acts),
        "none": torch.zeros_like(teacher_acts),
    }
    if learner not in masks:
        raise ValueError(f"learn.rl is '{learner}'; allowed are: {', '.join(masks)}")
    return masks[learner]


def failing_cell_shares(
    cells: torch.Tensor, successes: torch.Tensor, attempts: torch.Tensor, share: float, below: float
) -> torch.Tensor:
    """Teacher's share per environment: ``share`` in cells where the student mostly failed, else none (AMPO, adapted).

    Args:
        cells: Cell of each environment, such as terrain x command, integers [N] in [0, C).
        successes: Successful student episodes of each cell [C], older ones as parts of one.
        attempts: Student episodes of each cell [C], in the same way; a cell without any gets no teacher.
        share: Share in failing cells (the paper's code replaces 2 of 8).
        below: Share of successes under which a cell fails (in the paper: none).

    Returns:
        Shares [N], for the unit ``episode``.
    """
    failing = successes < below * attempts
    return share * failing[cells].float()
