"""Who acts: the share of steps that the teacher drives."""

from __future__ import annotations

from typing import Any

import torch

from legged_cts.roles import teacher_mask

UNITS = ("env", "step", "episode")


class Driver:
    """Decides before every step which environments the teacher drives: the one holder of who is a teacher.

    The teacher's share b is dealt by unit:

    - ``env``: fixed environments, interleaved (CTS with b = 0.75; behaviour cloning with b = 1);
    - ``step``: a coin per environment and step (DAgger);
    - ``episode``: a coin per episode.
    """

    teacher_acts: torch.Tensor
    """Who acts in the coming step, bool [N]."""

    teacher_ids: torch.Tensor
    """Environments in which the teacher acts in the coming step [K]."""

    student_ids: torch.Tensor
    """The others [N - K]."""

    acted: torch.Tensor
    """Who acted in each step of the rollout, bool [T, N]."""

    since_handover: torch.Tensor
    """Steps since the reset or the last take-over by the student, in each step of the rollout [T, N]."""

    episode_step: torch.Tensor
    """Steps taken in the running episode, integers [N]; counted from the driver's construction or a reset."""

    handover: torch.Tensor
    """``episode_step`` at which the student last took over from the teacher, else 0 for the reset; integers [N]."""

    def __init__(
        self, num_envs: int, unit: str = "env", share: float = 0.0, device: str | torch.device = "cpu", seed: int = 0,
        steps: int = 1, can_change: bool = False,
    ) -> None:  # fmt: skip
        """Start all environments at a reset.

        Args:
            num_envs: N.
            unit: One of ``UNITS``.
            share: b in [0, 1].
            device: Device of all tensors.
            seed: Of the coins.
            steps: Steps T of a rollout.
            can_change: Whether environments change their role, within a rollout or from one to the next.
        """
        self.num_envs, self.can_change = num_envs, can_change
        self.device = torch.device(device)
        self._generator = torch.Generator(device=self.device)
        self._generator.manual_seed(seed)
        self.episode_step = torch.zeros(num_envs, dtype=torch.long, device=self.device)
        self.handover = torch.zeros_like(self.episode_step)
        self.unit, self.share = unit, share
        self.acted = torch.zeros(steps, num_envs, dtype=torch.bool, device=self.device)
        self.since_handover = torch.zeros(steps, num_envs, dtype=torch.long, device=self.device)
        self._chosen = self._coins()
        self._take(self._decide())

    @property
    def teachers(self) -> torch.Tensor:
        """Environments in which the teacher acts, always or at times, bool [N]."""
        return self.teacher_acts if self.unit == "env" else torch.full_like(self.teacher_acts, self.share > 0.0)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many environments can be teachers, and how many students."""
        if self.can_change:
            return self.num_envs, self.num_envs
        return len(self.teacher_ids), len(self.student_ids)

    def configure(self, unit: str, share: float) -> None:
        """Change the options, say by a schedule: they count from the coming step on, running episodes keep their coin.

        Options that are as they were throw no coin.
        """
        if (unit, share) == (self.unit, self.share):
            return
        self.unit, self.share = unit, share
        before = self.teacher_acts
        self._take(self._decide())
        self.handover = torch.where(before & ~self.teacher_acts, self.episode_step, self.handover)

    def record(self, step: int) -> None:
        """Remember who acts in a step of the rollout."""
        self.acted[step] = self.teacher_acts
        self.since_handover[step] = self.episode_step - self.handover

    def advance(self, dones: torch.Tensor) -> None:
        """Go one step on, after the environments did.

        Args:
            dones: Ends of episodes, bool [N]; those environments are at their reset now.
        """
        dones = dones.bool()
        before = self.teacher_acts
        self.episode_step = torch.where(dones, 0, self.episode_step + 1)
        # Coins are thrown for all, so that the stream of random numbers does not depend on who was reset.
        self._chosen = torch.where(dones, self._coins(), self._chosen)
        if self.unit != "env":
            self._take(self._decide())
        takes_over = before & ~self.teacher_acts & ~dones
        self.handover = torch.where(takes_over, self.episode_step, torch.where(dones, 0, self.handover))

    def state_dict(self) -> dict[str, Any]:
        """Coins, counters and the state of the random numbers; the options come from the configuration."""
        return {
            # Clones, because rollouts are collected in inference mode.
            "teacher_acts": self.teacher_acts.clone(),
            "episode_step": self.episode_step.clone(),
            "handover": self.handover.clone(),
            "chosen": self._chosen.clone(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``; that of another number of environments is left out."""
        if len(state["chosen"]) != self.num_envs:
            return
        self._take(state["teacher_acts"].to(self.device))
        self.episode_step = state["episode_step"].to(self.device)
        self.handover = state["handover"].to(self.device)
        self._chosen = state["chosen"].to(self.device)
        self._generator.set_state(state["generator"].cpu())

    def _take(self, teacher_acts: torch.Tensor) -> None:
        self.teacher_acts = teacher_acts
        self.teacher_ids, self.student_ids = teacher_acts.nonzero().flatten(), (~teacher_acts).nonzero().flatten()

    def _coins(self) -> torch.Tensor:
        return torch.rand(self.num_envs, generator=self._generator, device=self.device) < self.share

    def _decide(self) -> torch.Tensor:
        if self.unit == "env":
            return teacher_mask(self.num_envs, self.share, self.device)
        return self._coins() if self.unit == "step" else self._chosen.clone()
