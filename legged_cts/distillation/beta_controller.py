"""A learned ratio of what the teacher sees: a Beta policy on the student's learning progress (ATESD, adapted)."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import nn


class BetaPolicy(nn.Module):
    """rho ~ Beta(a(u), b(u)) with a, b > 1, hence one mode inside (0, 1)."""

    def __init__(self, features: int, hidden: int = 16) -> None:
        """Build a small network from ``features`` numbers to both parameters."""
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 2))

    def forward(self, features: torch.Tensor) -> torch.distributions.Beta:
        """Distribution of the ratio for features u [..., n]."""
        a, b = (1.0 + nn.functional.softplus(self.net(features))).unbind(-1)
        return torch.distributions.Beta(a, b, validate_args=False)


class BetaController:
    """Chooses a ratio, holds it for K updates, and learns by REINFORCE from the progress that follows.

    Window j begins with the student's return J_j and holds rho_j for K updates. Its reward is the discounted progress
    of the windows that begin with it, R_j = sum_{i < M} gamma^i (J_{j+i+1} - J_{j+i}), complete when window j + M
    begins. The baseline is an exponential average of earlier rewards.
    """

    def __init__(
        self,
        features: int,
        hold: int = 10,
        delay: int = 1,
        gamma: float = 0.9,
        learning_rate: float = 1e-2,
        momentum: float = 0.9,
        entropy_coef: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Set up the policy.

        Args:
            features: Width of u, such as divergence, student return, fall rate and progress.
            hold: K, at least 1.
            delay: M, windows of progress that count for one choice, at least 1.
            gamma: Discount of later progress.
            learning_rate: Of the policy's Adam.
            momentum: Of the baseline, in [0, 1).
            entropy_coef: Weight of the entropy that keeps the policy from settling.
            seed: Of initial weights and samples.
        """
        self.hold, self.delay, self.gamma = hold, delay, gamma
        self.momentum, self.entropy_coef = momentum, entropy_coef
        self._generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = BetaPolicy(features)
        self._optimizer = torch.optim.Adam(self.policy.parameters(), lr=learning_rate)
        self.ratio = 1.0
        self._updates = 0
        self._baseline: float | None = None
        self._choices: deque[tuple[list[float], float]] = deque(maxlen=delay)
        self._returns: deque[float] = deque(maxlen=delay + 1)

    def step(self, student_return: float, features: list[float]) -> float:
        """Ratio for the coming update; to be called before every update.

        Args:
            student_return: Mean return of student-driven environments now; only read when a window begins.
            features: u, scaled to about one.
        """
        if self._updates % self.hold == 0:
            self._returns.append(student_return)
            if len(self._choices) == self.delay:
                self._learn(*self._choices[0])
            self.ratio = self._sample(features)
            self._choices.append((list(features), self.ratio))
        self._updates += 1
        return self.ratio

    def progress(self) -> float:
        """R_j of the oldest window whose returns are complete."""
        gains = [after - before for before, after in zip(self._returns, list(self._returns)[1:], strict=False)]
        return sum(self.gamma**i * gain for i, gain in enumerate(gains))

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on, in plain types and tensors."""
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "ratio": self.ratio,
            "updates": self._updates,
            "baseline": self._baseline,
            "choices": list(self._choices),
            "returns": list(self._returns),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``."""
        self.policy.load_state_dict(state["policy"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"].cpu())
        self.ratio, self._updates, self._baseline = state["ratio"], state["updates"], state["baseline"]
        self._choices = deque(state["choices"], maxlen=self.delay)
        self._returns = deque(state["returns"], maxlen=self.delay + 1)

    def _sample(self, features: list[float]) -> float:
        with torch.no_grad():
            distribution = self.policy(torch.tensor(features))
            # A ratio of two gammas, because torch's Beta takes no generator.
            gammas = torch.stack([distribution.concentration1, distribution.concentration0])
            x, y = torch._standard_gamma(gammas, generator=self._generator)
            return (x / (x + y)).clamp(1e-4, 1.0 - 1e-4).item()  # ln Beta is infinite at both ends

    # A rollout, between which and the next one the ratio is chosen, wants no gradient.
    @torch.inference_mode(False)
    @torch.enable_grad()
    def _learn(self, features: list[float], ratio: float) -> None:
        reward = self.progress()
        baseline = reward if self._baseline is None else self._baseline
        self._baseline = self.momentum * baseline + (1.0 - self.momentum) * reward
        distribution = self.policy(torch.tensor(features))
        loss = -(reward - baseline) * distribution.log_prob(torch.tensor(ratio))
        loss = loss - self.entropy_coef * distribution.entropy()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
