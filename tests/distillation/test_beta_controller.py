"""The learned ratio of the teacher's exposure."""

import pytest
import torch

from legged_cts.distillation.beta_controller import BetaController, BetaPolicy


def test_policy_gradient_against_finite_differences():
    torch.manual_seed(0)
    policy = BetaPolicy(3, hidden=4).double()
    features = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    ratio = torch.tensor(0.23, dtype=torch.float64)
    policy(features).log_prob(ratio).backward()
    for parameter in policy.parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(len(flat)):
            start = flat[i].item()
            values = []
            for step in (1e-6, -1e-6):
                flat[i] = start + step
                values.append(policy(features).log_prob(ratio).item())
            flat[i] = start
            assert gradient[i].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_density_by_hand():
    """With zero outputs both parameters are 1 + ln 2."""
    policy = BetaPolicy(1)
    for parameter in policy.parameters():
        torch.nn.init.zeros_(parameter)
    a = 1 + torch.tensor(2.0).log()
    constant = 2 * torch.lgamma(a) - torch.lgamma(2 * a)
    expected = (a - 1) * (torch.tensor(0.2).log() + torch.tensor(0.8).log()) - constant
    torch.testing.assert_close(policy(torch.zeros(1)).log_prob(torch.tensor(0.2)), expected)


def mean(controller: BetaController) -> float:
    with torch.no_grad():
        return controller.policy(torch.ones(1)).mean.item()


def test_bandit():
    """Progress -(rho - 0.3)^2 in every window."""
    controller = BetaController(1, hold=1, delay=1, learning_rate=0.02)
    student_return = 0.0
    start = mean(controller)
    for _ in range(1000):
        ratio = controller.step(student_return, [1.0])
        student_return -= (ratio - 0.3) ** 2
    assert abs(start - 0.5) < 0.15
    assert mean(controller) == pytest.approx(0.3, abs=0.05)


def test_a_ratio_is_held_for_its_updates():
    controller = BetaController(1, hold=4)
    ratios = [controller.step(0.0, [1.0]) for _ in range(20)]
    windows = [ratios[i : i + 4] for i in range(0, 20, 4)]
    assert all(len(set(window)) == 1 for window in windows)
    assert len({window[0] for window in windows}) == 5
    assert all(0.0 < ratio < 1.0 for ratio in ratios)


def test_delayed_progress_belongs_to_the_window_that_it_follows(monkeypatch):
    """Windows of two updates, two windows of progress at discount 0.5; returns in between do not count."""
    controller = BetaController(1, hold=2, delay=2, gamma=0.5)
    learned = []
    monkeypatch.setattr(
        controller, "_learn", lambda features, ratio: learned.append((features, ratio, controller.progress()))
    )
    ratios = []
    for update, student_return in enumerate([0.0, 99.0, 1.0, 99.0, 3.0, 99.0, 4.0, 99.0, 10.0]):
        ratios.append(controller.step(student_return, [float(update)]))
    assert learned == [
        ([0.0], ratios[0], 1 + 0.5 * 2),
        ([2.0], ratios[2], 2 + 0.5 * 1),
        ([4.0], ratios[4], 1 + 0.5 * 6),
    ]


def test_first_reward_is_its_own_baseline():
    """Without an earlier reward there is nothing to compare with, and no step in either direction."""
    controller = BetaController(1, hold=1)
    before = mean(controller)
    for student_return in (0.0, 5.0):
        controller.step(student_return, [1.0])
    assert mean(controller) == before
    controller.step(100.0, [1.0])
    assert mean(controller) != before


def test_state_goes_on_where_it_stopped():
    def drive(controller: BetaController, updates: range) -> list[float]:
        return [controller.step(0.1 * (update % 7), [update / 50]) for update in updates]

    whole = BetaController(1, hold=3, delay=2, seed=1)
    expected = drive(whole, range(50))
    first, second = BetaController(1, hold=3, delay=2, seed=1), BetaController(1, hold=3, delay=2, seed=2)
    start = drive(first, range(22))
    second.load_state_dict(first.state_dict())
    assert start + drive(second, range(22, 50)) == expected
