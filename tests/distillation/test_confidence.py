"""Survival of the student, as the rollout tells."""

import pytest
import torch

from legged_cts.distillation.confidence import confidence_loss, steps_to_teacher, survival_targets


def _columns(*columns: str) -> torch.Tensor:
    """Bool [T, N] from one string of 0 and 1 per environment."""
    return torch.tensor([[char == "1" for char in column] for column in columns]).T


def test_targets_by_hand():
    """A fall in the third step, a time-out in the third step, neither."""
    falls, time_outs = _columns("001000", "000000", "000000"), _columns("000000", "001000", "000000")
    targets, judged = survival_targets(falls, time_outs, 2)
    assert torch.equal(judged, _columns("111110", "110110", "111110") & ~_columns("000000", "010000", "000000"))
    assert torch.equal(targets == 0, _columns("011000", "000000", "000000"))


def test_a_window_that_ends_with_the_time_out_is_not_a_survival_of_more():
    _, judged = survival_targets(_columns("0000"), _columns("0100"), 3)
    assert judged.flatten().tolist() == [False, False, False, False]


def test_teacher_driven_steps_do_not_speak_for_the_student():
    """The student drives steps 0 to 2; its fall counts, what happens under the teacher does not."""
    acts = _columns("000111", "000111")
    targets, judged = survival_targets(_columns("001000", "000010"), _columns("000000", "000000"), 3, acts)
    assert judged.T.tolist() == [[True, True, True, False, False, False], [True, False, False, False, False, False]]
    assert targets.T[0, :3].tolist() == [0.0, 0.0, 0.0] and targets.T[1, 0].item() == 1.0


def test_known_ends_are_left_out_whatever_happens():
    steps_left = torch.tensor([[3], [2], [1], [9]])
    _, judged = survival_targets(_columns("0010"), _columns("0000"), 2, steps_left=steps_left)
    assert judged.flatten().tolist() == [True, True, False, False]


@pytest.mark.parametrize("horizon", [0, 5])
def test_horizon_must_fit(horizon):
    with pytest.raises(ValueError, match=r"confidence horizon must lie in \[1, 4\]"):
        survival_targets(_columns("0000"), _columns("0000"), horizon)


def test_head_learns_the_students_rate_and_not_the_teachers():
    """Constant features; falls per step with rate 0.05 for the student and 0.005 for the teacher, horizon 5."""
    generator = torch.Generator().manual_seed(0)
    steps, envs, horizon = 30, 6000, 5
    acts = (torch.arange(envs) < 4000).expand(steps, envs)
    rates = torch.where(acts, 0.005, 0.05)
    falls = torch.rand(steps, envs, generator=generator) < rates
    targets, judged = survival_targets(falls, torch.zeros_like(falls), horizon, acts)
    logit = torch.zeros((), requires_grad=True)
    for _ in range(60):
        loss = confidence_loss(logit.expand(steps, envs), targets, judged)
        (gradient,) = torch.autograd.grad(loss, logit)
        with torch.no_grad():
            logit -= 4.0 * gradient
    assert torch.sigmoid(logit).item() == pytest.approx(0.95**5, abs=0.01)
    assert 0.995**5 - torch.sigmoid(logit).item() > 0.15


def test_loss_by_hand_and_without_any_judged_step():
    logits, targets = torch.tensor([0.0, 2.0, -1.0], requires_grad=True), torch.tensor([1.0, 0.0, 1.0])
    loss = confidence_loss(logits, targets, torch.tensor([True, True, False]))
    assert loss.item() == pytest.approx((0.693147 + 2.126928) / 2, abs=1e-5)  # ln 2 and ln(1 + e^2)
    empty = confidence_loss(logits, targets, torch.zeros(3, dtype=torch.bool))
    empty.backward()
    assert empty.item() == 0.0 and logits.grad is not None and logits.grad.tolist() == [0.0] * 3


def test_steps_to_the_teacher_by_hand():
    found = steps_to_teacher(_columns("00100", "00000", "11001"))
    assert found.T[0, :3].tolist() == [2, 1, 0] and found.T[2].tolist() == [0, 0, 2, 1, 0]
    assert bool((found.T[1] >= torch.arange(5, 0, -1)).all()) and bool((found.T[0, 3:] >= 5).all())


def test_coins_that_know_of_no_fall_do_not_bias_the_rate():
    """With a coin per step, horizons that fell early survive the teacher's coins more often than whole ones."""
    generator = torch.Generator().manual_seed(0)
    acts = torch.rand(20, 5000, generator=generator) < 0.3
    falls = torch.rand(20, 5000, generator=generator) < 0.1
    nobody = torch.zeros_like(falls)
    targets, judged = survival_targets(falls, nobody, 4, acts, steps_to_teacher(acts))
    assert targets[judged].mean().item() == pytest.approx(0.9**4, abs=0.01)
    targets, judged = survival_targets(falls, nobody, 4, acts)
    assert targets[judged].mean().item() < 0.9**4 - 0.05
