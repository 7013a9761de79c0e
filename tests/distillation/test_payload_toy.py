"""Learning with the pieces, on plants whose solutions are known."""

import payload_toy
import pytest
import torch

from legged_cts.distillation.divergences import forward_kl, mse, reverse_kl
from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.distillation.pools import log_pool, route

TABLE = {  # teacher's share: gain, root mean square of x, cost
    1.0: (-0.4000, 0.791, 0.635),
    0.75: (-0.7094, 0.472, 0.234),
    0.5: (-0.8655, 0.401, 0.173),
    0.25: (-0.9962, 0.362, 0.144),
    0.0: (-1.1147, 0.336, 0.127),
}


@pytest.mark.parametrize("share", TABLE)
def test_where_imitation_ends_depends_on_who_drives(share):
    """From behaviour cloning (1) to DAgger (0), in closed form and simulated."""
    gain, rms, cost = TABLE[share]
    exact = payload_toy.fixed_point(share)
    assert exact == pytest.approx(gain, abs=1e-4)
    assert payload_toy.student_moments(exact)[1] ** 0.5 == pytest.approx(rms, abs=1e-3)
    assert payload_toy.cost(exact) == pytest.approx(cost, abs=1e-3)
    found = payload_toy.imitate(share)
    assert found == pytest.approx(exact, rel=0.01)
    simulated_rms, simulated_cost = payload_toy.simulate(found)
    assert simulated_rms == pytest.approx(rms, rel=0.01)
    assert simulated_cost == pytest.approx(cost, rel=0.01)


def _cost_slope(th: float) -> float:
    x = torch.tensor(th, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(payload_toy.cost(x), x)[0].item()


def test_reinforcement_learning_beats_the_best_imitation():
    """The last row of the table, the reason to keep the term of PPO."""
    best = payload_toy.root(_cost_slope, -1.8, -0.5)
    assert best == pytest.approx(-1.3952, abs=1e-4)
    assert payload_toy.cost(best) == pytest.approx(0.112, abs=5e-4)
    assert payload_toy.cost(payload_toy.fixed_point(0.0)) / payload_toy.cost(best) == pytest.approx(1.13, abs=0.01)


def _two_points(th: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Four pairs (x, p) [4, 1] with the exact second moments of the student's states."""
    px, xx = payload_toy.student_moments(th)
    pp = payload_toy.LOAD_STD**2
    slope, rest = px / pp, (xx - px**2 / pp) ** 0.5
    p = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64).unsqueeze(-1) * payload_toy.LOAD_STD
    noise = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64).unsqueeze(-1) * rest
    return slope * p + noise, p


@pytest.mark.parametrize(
    "coef, gain", [(0.0, -1.3952), (0.1, -1.3884), (1.0, -1.3384), (10.0, -1.1934), (1000.0, -1.1158)]
)
def test_joint_training_lies_between_reinforcement_and_imitation(coef, gain):
    """Exact gradient of the cost plus c times that of the reverse KL at unit variance, on student states."""

    def slope(th: float) -> float:
        x, p = _two_points(th)
        variable = torch.tensor(th, dtype=torch.float64, requires_grad=True)
        one = torch.ones_like(x)
        teacher = DiagonalGaussian(-payload_toy.K * x - p, one)
        loss = reverse_kl(DiagonalGaussian(variable * x, one), teacher).mean()
        return _cost_slope(th) + coef * torch.autograd.grad(loss, variable)[0].item()

    assert payload_toy.root(slope, -1.8, -0.5) == pytest.approx(gain, abs=1e-4)


def test_forward_kl_learns_the_residual_std_of_what_the_student_cannot_see():
    """The std that the student ends with is that of the teacher's action given the student's state."""
    th, teacher_std = payload_toy.fixed_point(0.0), 0.05
    x, p = _two_points(th)
    mean = th * x
    teacher = DiagonalGaussian(-payload_toy.K * x - p, torch.full_like(x, teacher_std))
    px, xx = payload_toy.student_moments(th)
    residual = (th + payload_toy.K) ** 2 * xx + 2 * (th + payload_toy.K) * px + payload_toy.LOAD_STD**2
    ends = {}
    for divergence in (forward_kl, reverse_kl):
        log_std = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        for _ in range(300):
            loss = divergence(DiagonalGaussian(mean, log_std.exp().expand_as(mean)), teacher).mean()
            (gradient,) = torch.autograd.grad(loss, log_std)
            with torch.no_grad():
                log_std -= (0.2 * gradient).clamp(-0.2, 0.2)
        ends[divergence] = log_std.exp().item()
    assert ends[forward_kl] == pytest.approx((teacher_std**2 + residual) ** 0.5, rel=1e-6)
    assert ends[forward_kl] > 3 * teacher_std
    assert ends[reverse_kl] == pytest.approx(teacher_std, rel=1e-6)  # blind to what it cannot follow


def _two_plants(gain_of_history: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States x, what their history tells of the plant (+1 or -1), and the plant (0 or 1), all [B].

    x' = x + g a + w, where g is 1 in the first plant and -1 in the second one; the student drives, with exploration.
    """
    generator = torch.Generator().manual_seed(0)
    envs = 2000
    plant = torch.arange(envs) % 2
    sign = 1.0 - 2.0 * plant.double()
    x = torch.randn(envs, generator=generator, dtype=torch.float64)
    evidence = torch.zeros_like(x)
    states, signs, plants = [], [], []
    for step in range(10):
        guess = evidence.sign()
        if step >= 4:
            states.append(x)
            signs.append(guess)
            plants.append(plant)
        noise = torch.randn(2, envs, generator=generator, dtype=torch.float64)
        action = gain_of_history * guess * x + 0.3 * noise[0]
        following = x + sign * action + 0.02 * noise[1]
        evidence = evidence + (following - x) * action
        x = following
    return torch.cat(states), torch.cat(signs), torch.cat(plants)


def _fit(features: torch.Tensor, target: DiagonalGaussian) -> torch.Tensor:
    """Minimum of the mean matching over a = features th, by one Newton step from zero."""
    th = torch.zeros(features.shape[-1], 1, dtype=torch.float64, requires_grad=True)
    loss = mse(DiagonalGaussian(features @ th, torch.ones(len(features), 1, dtype=torch.float64)), target).mean()
    (gradient,) = torch.autograd.grad(loss, th)
    hessian = 2 * features.T @ features / len(features)
    return -torch.linalg.solve(hessian, gradient).flatten()


def test_routed_teachers_reach_both_plants_and_their_mean_neither():
    x, sign, plant = _two_plants(-0.5)
    gains = (-0.6, 0.4)  # the second plant answers the other way round
    one = torch.ones(len(x), 1, dtype=torch.float64)
    teachers = [DiagonalGaussian(gain * x.unsqueeze(-1), one) for gain in gains]
    features = torch.stack([x, sign * x], dim=-1)
    level, difference = _fit(features, route(teachers, plant)).tolist()
    assert level + difference == pytest.approx(gains[0], abs=0.02)
    assert level - difference == pytest.approx(gains[1], abs=0.02)
    level, difference = _fit(features, log_pool(*teachers, 0.5)).tolist()
    assert level == pytest.approx(-0.1, abs=1e-9) and difference == pytest.approx(0.0, abs=1e-9)


def test_a_student_without_history_averages_even_routed_teachers():
    x = torch.linspace(-1, 1, 101, dtype=torch.float64).repeat(2)
    plant = torch.arange(2).repeat_interleave(101)
    one = torch.ones(len(x), 1, dtype=torch.float64)
    teachers = [DiagonalGaussian(gain * x.unsqueeze(-1), one) for gain in (-0.6, 0.4)]
    assert _fit(x.unsqueeze(-1), route(teachers, plant)).item() == pytest.approx(-0.1)
