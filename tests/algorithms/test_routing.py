"""Which loss reaches which parameters: the arrows of the paper's figure 2."""

from collections import defaultdict

import pytest
import torch
from builders import PARTS, gradients, make_cts, positions, rollout, snapshot

from legged_cts.algorithms.minibatches import role_batches


@pytest.fixture
def alg_and_losses():
    def build(**algorithm):
        alg, env = make_cts(schedule="fixed", **algorithm)
        rollout(alg, env)
        alg.update()
        rollout(alg, env)
        generator = role_batches(alg.storage, alg.teacher_mask, 2, 2)
        alg.step(alg.losses(next(generator)))  # ratios of exactly one would hide nothing, but be generic
        return alg, alg.losses(next(generator))

    return build


def test_each_loss_reaches_its_parameters_and_no_others(alg_and_losses):
    alg, losses = alg_and_losses()
    on = dict.fromkeys(PARTS, False)
    assert gradients(alg, losses.report["surrogate_teacher"]) == on | {"policy": True, "std": True, "teacher": True}
    assert gradients(alg, losses.report["surrogate_student"]) == on | {"policy": True, "std": True}
    assert gradients(alg, losses.report["value"]) == on | {"critic": True}
    assert gradients(alg, losses.report["entropy"]) == on | {"std": True}
    assert gradients(alg, losses.total) == dict.fromkeys(PARTS, True) | {"student": False}
    assert not losses.kl.requires_grad


def test_surrogate_mode_reaches_the_student_encoder_from_student_samples_alone(alg_and_losses):
    alg, losses = alg_and_losses(student_encoder_gradient="surrogate")
    on = dict.fromkeys(PARTS, False)
    assert gradients(alg, losses.report["surrogate_teacher"]) == on | {"policy": True, "std": True, "teacher": True}
    assert gradients(alg, losses.report["surrogate_student"]) == on | {"policy": True, "std": True, "student": True}
    assert gradients(alg, losses.report["value"]) == on | {"critic": True}


def test_teacher_encoder_gradient_is_that_of_teacher_samples(alg_and_losses):
    alg, losses = alg_and_losses()
    weights = list(alg.actor.teacher_encoder.parameters())
    total = torch.autograd.grad(losses.total, weights, retain_graph=True)
    teacher = torch.autograd.grad(losses.report["surrogate_teacher"], weights)
    for a, b in zip(total, teacher, strict=True):
        torch.testing.assert_close(a, b)


def test_reconstruction_moves_the_student_encoder_alone():
    alg, env = make_cts()
    rollout(alg, env)
    before = snapshot(alg)
    alg.regression.finish(defaultdict(list))
    moved = {name for name, value in snapshot(alg).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("student.")}
    assert all(parameter.grad is None for parameter in alg.actor.parameters())


def test_ppo_steps_leave_the_student_encoder_alone():
    alg, env = make_cts()
    rollout(alg, env)
    before = snapshot(alg)
    for batch in role_batches(alg.storage, alg.teacher_mask, 2, 2):
        assert alg.step(alg.losses(batch))
    moved = {name for name, value in snapshot(alg).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("student.")}
    assert all(parameter.grad is None for parameter in alg.student_policy().encoder.parameters())


def test_the_target_is_the_updated_teacher_latent():
    """The reported loss of the first regression step compares E^s with E^t as the PPO epochs left it."""
    alg, env = make_cts(reconstruction_epochs=1, reconstruction_mini_batches=1)
    rollout(alg, env)
    for batch in role_batches(alg.storage, alg.teacher_mask, 2, 3):
        alg.step(alg.losses(batch))
    ids = alg.driver.student_ids
    target = alg.teacher_policy().latent(alg.storage.observations["privileged"][:, ids].flatten(0, 1))
    latent = alg.student_policy().latent(alg.history.at(positions(alg)))
    means = defaultdict(list)
    alg.regression.finish(means)
    assert means["reconstruction"][0] == pytest.approx((latent - target).square().mean().item(), rel=1e-5)
    assert means["latent_cosine"][0] == pytest.approx((latent * target).sum(-1).mean().item(), rel=1e-5)


def test_mini_batches_without_a_group_train_without_nan():
    alg, env = make_cts(num_envs=4, num_mini_batches=40)  # one sample each
    rollout(alg, env)
    result = alg.update()
    assert result["skipped_updates"] == 0
    assert all(value.isfinite().all() for value in snapshot(alg).values())
