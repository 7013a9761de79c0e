"""A plant with a hidden load: x' = A x + a + p + w, with p ~ N(0, s_p^2) constant in an episode and w ~ N(0, s_w^2).

The teacher a = -k x - p knows the load, the student a = th x neither knows nor remembers it. All stationary moments
have closed forms, so the results of learning have numbers to compare with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from legged_cts.distillation.divergences import mse
from legged_cts.distillation.drivers import Driver
from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.distillation.placement import weighted_mean

A, K, LOAD_STD, NOISE_STD = 1.0, 0.4, 0.3, 0.2


def student_moments(th):
    """E[p x] and E[x^2] when the student drives."""
    f = A + th
    return LOAD_STD**2 / (1 - f), LOAD_STD**2 / (1 - f) ** 2 + NOISE_STD**2 / (1 - f**2)


def teacher_second_moment() -> float:
    """E[x^2] when the teacher drives; its E[p x] is zero."""
    return NOISE_STD**2 / (1 - (A - K) ** 2)


def cost(th):
    """E[x^2 + 0.1 a^2] when the student drives."""
    return (1 + 0.1 * th**2) * student_moments(th)[1]


def fixed_point(share: float) -> float:
    """Gain that imitation ends at when the teacher drives a share of the environments."""

    def residual(th: float) -> float:
        px, xx = student_moments(th)
        return th + K + (1 - share) * px / (share * teacher_second_moment() + (1 - share) * xx)

    return root(residual, -1.8, -0.1)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Zero of a function that grows from ``low`` to ``high``, by bisection."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return 0.5 * (low + high)


def _loads(count: int) -> torch.Tensor:
    """Quantiles of the load, scaled to its exact variance."""
    quantiles = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return LOAD_STD * quantiles / quantiles.square().mean().sqrt()


class Plant:
    """N episodes without end, an even number of each role.

    The loads of a role are a full set of quantiles, and opposite loads meet the same noise, so that products of load
    and noise cancel and few environments are enough.
    """

    def __init__(self, teacher_acts: torch.Tensor, seed: int = 0) -> None:
        self.x = torch.zeros(len(teacher_acts), dtype=torch.float64)
        self.load = torch.zeros_like(self.x)
        self._roles = [role for role in (teacher_acts, ~teacher_acts) if bool(role.any())]
        for role in self._roles:
            self.load[role] = _loads(int(role.sum()))
        self._generator = torch.Generator().manual_seed(seed)

    def step(self, action: torch.Tensor) -> None:
        noise = torch.empty_like(self.x)
        for role in self._roles:
            half = torch.randn(int(role.sum()) // 2, generator=self._generator, dtype=torch.float64)
            noise[role] = torch.cat([half, half.flip(0)])
        self.x = A * self.x + action + self.load + NOISE_STD * noise

    def teacher_action(self) -> torch.Tensor:
        return -K * self.x - self.load


def imitate(share: float, envs: int = 2000, rounds: int = 30, steps: int = 20) -> float:
    """Gain after imitation with the driver's environment split: mean matching on the states that it visits."""
    driver = Driver(envs, "env", share)
    plant = Plant(driver.teacher_acts)
    th = torch.tensor(-0.8, dtype=torch.float64, requires_grad=True)
    found = []
    for _ in range(rounds):
        states, labels = [], []
        for _ in range(steps):
            label = plant.teacher_action()
            states.append(plant.x)
            labels.append(label)
            plant.step(torch.where(driver.teacher_acts, label, th.detach() * plant.x))
            driver.advance(torch.zeros(envs, dtype=torch.bool))
        x, label = torch.cat(states).unsqueeze(-1), torch.cat(labels).unsqueeze(-1)
        one = torch.ones_like(x)
        loss = weighted_mean(mse(DiagonalGaussian(th * x, one), DiagonalGaussian(label, one)))
        (gradient,) = torch.autograd.grad(loss, th)
        with torch.no_grad():
            th -= 0.7 * gradient / (2 * x.square().mean())  # a damped step to the least-squares solution
        found.append(th.item())
    return sum(found[10:]) / len(found[10:])


def simulate(th: float, envs: int = 2000, steps: int = 300) -> tuple[float, float]:
    """Root mean square of x, and cost, when the student drives."""
    plant = Plant(torch.zeros(envs, dtype=torch.bool), seed=1)
    squares = torch.zeros((), dtype=torch.float64)
    for step in range(steps):
        plant.step(th * plant.x)
        if step >= 30:
            squares += plant.x.square().mean()
    second = (squares / (steps - 30)).item()
    return second**0.5, (1 + 0.1 * th**2) * second
