"""Loss terms against numbers computed by hand."""

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from builders import make_cts, rollout

from legged_cts.algorithms.losses import clipped_surrogate, combine_surrogates, normalize_advantages, value_loss
from legged_cts.algorithms.minibatches import index_batches, role_batches


def test_clipped_surrogate_by_hand():
    # ratios 1.5, 0.5, 1.5, 0.5 with clip 0.2: gains stop at 1.2 and 0.8, losses do not stop
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5])
    advantages = torch.tensor([2.0, -2.0, -1.0, 1.0])
    loss = clipped_surrogate(ratio.log(), torch.zeros(4), advantages, 0.2)
    torch.testing.assert_close(loss, torch.tensor([-2.4, 1.6, 1.5, -0.5]))


def test_combinations_by_hand():
    per_sample = torch.tensor([1.0, 2.0, 3.0, 10.0])  # three teachers, one student
    assert combine_surrogates(per_sample, 3, "sum_of_means").item() == 12.0
    assert combine_surrogates(per_sample, 3, "pooled").item() == 4.0


@pytest.mark.parametrize("mode", ["sum_of_means", "pooled"])
@pytest.mark.parametrize("teachers", [0, 2])
def test_an_empty_group_adds_nothing(mode, teachers):
    per_sample = torch.tensor([1.0, 3.0], requires_grad=True)
    loss = combine_surrogates(per_sample, teachers, mode)
    assert loss.item() == 2.0
    loss.backward()
    assert per_sample.grad is not None and per_sample.grad.tolist() == [0.5, 0.5]


def test_value_loss_by_hand():
    values, old, returns = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]])
    # the first value moved by 1, is clipped to 0.2, and errs by 0.8 there; the second errs by 1 either way
    assert value_loss(values, old, returns, 0.2).item() == pytest.approx((0.64 + 1.0) / 2)
    assert value_loss(values, old, returns, None).item() == pytest.approx(0.5)


def test_advantages_per_group():
    advantages = torch.tensor([[1.0, 10.0], [3.0, 30.0]]).unsqueeze(-1)  # [T, N, 1]: one teacher, one student
    result = normalize_advantages(advantages, torch.tensor([True, False]).view(1, -1, 1))
    torch.testing.assert_close(result.squeeze(-1), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]) / math.sqrt(2.0))


def test_advantages_of_one_sample_are_finite():
    assert normalize_advantages(torch.tensor([[5.0]])).tolist() == [[0.0]]


def test_every_sample_is_visited_once_per_epoch():
    batches = list(index_batches(10, 4, 3, "cpu"))
    assert [len(batch) for batch in batches] == [3, 3, 2, 2] * 3
    for epoch in range(3):
        assert sorted(torch.cat(batches[4 * epoch : 4 * epoch + 4]).tolist()) == list(range(10))
    assert not torch.equal(torch.cat(batches[:4]), torch.cat(batches[4:8]))


def test_batches_put_teachers_first():
    alg, env = make_cts(num_envs=7, teacher_fraction=0.4)
    rollout(alg, env)
    for batch in role_batches(alg.storage, alg.teacher_mask, 5, 1):
        roles = alg.teacher_mask[batch.index % 7].tolist()
        assert roles == [True] * batch.teachers + [False] * (len(batch) - batch.teachers)
        step, environment = batch.index // 7, batch.index % 7
        torch.testing.assert_close(batch.actions, alg.storage.actions[step, environment])
        torch.testing.assert_close(
            batch.observations["privileged"], alg.storage.observations["privileged"][step, environment]
        )


def _mlp(mlp, x: np.ndarray) -> np.ndarray:
    layers = [module for module in mlp if isinstance(module, torch.nn.Linear)]
    for i, layer in enumerate(layers):
        x = x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        if i < len(layers) - 1:
            x = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))  # ELU
    return x


@pytest.mark.parametrize("gradient", ["reconstruction", "surrogate"])
@pytest.mark.parametrize("surrogate", ["sum_of_means", "pooled"])
def test_losses_of_a_mini_batch_against_numpy(surrogate, gradient):
    """The whole loss of a mini-batch, after some training, recomputed without torch's autograd or our code."""
    alg, env = make_cts(surrogate=surrogate, schedule="fixed", student_encoder_gradient=gradient, latent_pull=0.3)
    for _ in range(2):
        rollout(alg, env)
        alg.update()
    histories = rollout(alg, env).double().numpy()
    generator = role_batches(alg.storage, alg.teacher_mask, 3, 2)
    for _ in range(2):  # steps, so that ratios differ from one
        alg.step(alg.losses(next(generator)))
    batch = next(generator)

    def numpy(x: torch.Tensor) -> np.ndarray:
        return x.detach().double().numpy()

    def normalized(normalizer, x: np.ndarray) -> np.ndarray:
        return (x - numpy(normalizer.mean)) / (numpy(normalizer.std) + normalizer.eps)

    n = batch.teachers
    x, s = numpy(batch.observations["proprioception"]), numpy(batch.observations["privileged"])
    actor, critic = alg.actor, alg.critic
    teacher = _mlp(actor.teacher_encoder.mlp, normalized(actor.teacher_encoder.normalizer, s[:n]))
    index = batch.index[n:].numpy()
    frames = normalized(actor.obs_normalizer, histories[index // env.num_envs, index % env.num_envs])
    student = _mlp(alg.student_policy().encoder.mlp, frames.reshape(len(frames), -1))
    z = np.concatenate([teacher, student])
    z /= np.linalg.norm(z, axis=-1, keepdims=True)

    mean = _mlp(actor.mlp, np.concatenate([normalized(actor.obs_normalizer, x), z], -1))
    std = numpy(actor.distribution.std_param)
    log_prob = (-0.5 * ((numpy(batch.actions) - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)).sum(-1)
    ratio = np.exp(log_prob - numpy(batch.old_log_prob))
    assert np.abs(ratio - 1).max() > 0.01
    advantages = numpy(batch.advantages)[:, 0]
    per_sample = -np.minimum(ratio * advantages, np.clip(ratio, 0.8, 1.2) * advantages)
    expected = per_sample[:n].mean() + per_sample[n:].mean() if surrogate == "sum_of_means" else per_sample.mean()
    values = _mlp(critic.mlp, np.concatenate([normalized(critic.obs_normalizer, s), z], -1))
    old, returns = numpy(batch.values), numpy(batch.returns)
    value = np.maximum((values - returns) ** 2, (old + np.clip(values - old, -0.2, 0.2) - returns) ** 2).mean()
    entropy = (0.5 * np.log(2 * np.pi * np.e) + np.log(std)).sum()
    old_mean, old_std = (numpy(p) for p in batch.old_distribution_params)
    kl = (np.log(std / old_std) + (old_std**2 + (old_mean - mean) ** 2) / (2 * std**2) - 0.5).sum(-1)

    losses = alg.losses(batch)
    assert losses.report["surrogate"].item() == pytest.approx(expected, abs=1e-5)
    assert losses.report["surrogate_teacher"].item() == pytest.approx(per_sample[:n].mean(), abs=1e-5)
    assert losses.report["surrogate_student"].item() == pytest.approx(per_sample[n:].mean(), abs=1e-5)
    assert losses.report["value"].item() == pytest.approx(value, abs=1e-5)
    assert losses.report["entropy"].item() == pytest.approx(entropy, abs=1e-5)
    np.testing.assert_allclose(numpy(losses.kl), kl, atol=1e-5)
    followed = _mlp(actor.teacher_encoder.mlp, normalized(actor.teacher_encoder.normalizer, s[n:]))
    followed /= np.linalg.norm(followed, axis=-1, keepdims=True)
    pull = ((followed - z[n:]) ** 2).sum(-1).mean()
    assert losses.report["latent_pull"].item() == pytest.approx(pull, abs=1e-5)
    assert losses.total.item() == pytest.approx(expected + 1.0 * value - 0.01 * entropy + 0.3 * pull, abs=2e-5)


def test_the_reconstruction_loss_against_numpy():
    """Loss and cosine of a mini-batch that holds every student sample."""
    alg, env = make_cts(reconstruction_epochs=1, reconstruction_mini_batches=1)
    rollout(alg, env)
    alg.update()
    histories = rollout(alg, env)[:, alg.driver.student_ids].double().numpy()
    actor = alg.actor

    def normalized(normalizer, x: np.ndarray) -> np.ndarray:
        mean, std = (p.detach().double().numpy() for p in (normalizer.mean, normalizer.std))
        return (x - mean) / (std + normalizer.eps)

    states = alg.storage.observations["privileged"][:, alg.driver.student_ids].double().numpy()
    target = _mlp(actor.teacher_encoder.mlp, normalized(actor.teacher_encoder.normalizer, states))
    frames = normalized(actor.obs_normalizer, histories)
    z = _mlp(alg.student_policy().encoder.mlp, frames.reshape(*frames.shape[:2], -1))
    target, z = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (target, z))
    means = defaultdict(list)
    alg.regression.finish(means)
    assert means["reconstruction"] == [pytest.approx(((z - target) ** 2).mean(), abs=1e-6)]
    assert means["latent_cosine"] == [pytest.approx((z * target).sum(-1).mean(), abs=1e-6)]
