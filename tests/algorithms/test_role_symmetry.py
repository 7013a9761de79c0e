"""Augmentation and mirror loss of CTS on the drift bandit, whose mirror changes the sign of everything."""

from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from builders import PARTS, STEPS, gradients, make_cts, part, rollout, snapshot, task
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict
from toy_env import DriftEnv, flip

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.cts import CTS
from legged_cts.algorithms.minibatches import RoleBatch, role_batches
from legged_cts.algorithms.symmetry import AUGMENTATION, by_copy, with_images

AUGMENT = {"use_data_augmentation": True, "use_mirror_loss": False, "data_augmentation_func": flip}
LOSS = {"use_mirror_loss": True, "mirror_loss_coeff": 0.5, "data_augmentation_func": flip}
BOTH = LOSS | {"use_data_augmentation": True}


def symmetric_rollout(**algorithm) -> tuple[CTS, RoleBatch, torch.Tensor]:
    """Fill the storage with a rollout in which environments come in pairs of mirror images.

    Returns:
        The algorithm, all samples as one batch, and which of them are the first of their pair, bool [B].
    """
    alg, env = make_cts(num_envs=16, teacher_fraction=0.5, **algorithm)
    roles = (alg.driver.teacher_ids, alg.driver.student_ids)
    first, second = torch.cat([ids[:4] for ids in roles]), torch.cat([ids[4:] for ids in roles])
    for state in (env._x, env._drift, env._history):
        state[second] = -state[first]
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(STEPS):
            alg.act(obs)
            step = alg.transition
            mean, _ = step.distribution_params  # the standard deviation is the same in every state
            step.actions[second], mean[second] = -step.actions[first], -mean[first]
            step.values[second] = step.values[first]
            step.actions_log_prob[second] = step.actions_log_prob[first]
            obs, rewards, dones, extras = env.step(step.actions)
            torch.testing.assert_close(rewards[second], rewards[first])
            alg.process_env_step(obs, rewards, dones, extras)
        alg.compute_returns(obs)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 1, 1))
    return alg, batch, torch.isin(batch.index % 16, first)


def rows(batch: RoleBatch, keep: torch.Tensor) -> RoleBatch:
    names = ("observations", "actions", "values", "advantages", "returns", "old_log_prob", "index")
    return replace(
        batch,
        **{name: getattr(batch, name)[keep] for name in names},
        old_distribution_params=tuple(p[keep] for p in batch.old_distribution_params),
        teachers=int(keep[: batch.teachers].sum()),
    )


def step_gradients(alg: CTS, loss: torch.Tensor) -> list[torch.Tensor]:
    parameters = [*alg.actor.parameters(), *alg.critic.parameters(), *alg.student_policy().encoder.parameters()]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros(()) if grad is None else grad for grad in found]


@pytest.mark.parametrize("gradient", ["reconstruction", "surrogate"])
@pytest.mark.parametrize("surrogate", ["sum_of_means", "pooled"])
def test_augmentation_of_a_symmetric_batch_changes_nothing(gradient, surrogate):
    alg, batch, _ = symmetric_rollout(
        symmetry_cfg=AUGMENT, student_encoder_gradient=gradient, surrogate=surrogate, use_clipped_value_loss=False
    )
    augmented = alg.losses(batch)
    alg.symmetry = None
    plain = alg.losses(batch)
    assert "symmetry" in augmented.report and "symmetry" not in plain.report
    for name in ("total", "surrogate", "surrogate_teacher", "surrogate_student", "value", "entropy", "kl"):
        torch.testing.assert_close(part(augmented, name), part(plain, name), msg=name)
    for ours, theirs in zip(step_gradients(alg, augmented.total), step_gradients(alg, plain.total), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("gradient", ["reconstruction", "surrogate"])
def test_augmentation_of_a_half_makes_the_whole(gradient):
    """Samples and their images weigh as if both had been collected."""
    alg, batch, first = symmetric_rollout(symmetry_cfg=AUGMENT, student_encoder_gradient=gradient)
    half = alg.losses(rows(batch, first))
    alg.symmetry = None
    whole = alg.losses(batch)
    for name in ("total", "surrogate", "surrogate_teacher", "surrogate_student", "value"):
        torch.testing.assert_close(part(half, name), part(whole, name), msg=name)
    for ours, theirs in zip(step_gradients(alg, half.total), step_gradients(alg, whole.total), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_advantages_are_normalised_before_the_images_join():
    alg, batch, _ = symmetric_rollout(symmetry_cfg=AUGMENT, normalize_advantage_per_mini_batch=True)
    augmented = alg.losses(batch)
    alg.symmetry = None
    torch.testing.assert_close(augmented.total, alg.losses(batch).total)


def test_images_are_placed_by_role():
    alg, env = make_cts(symmetry_cfg=AUGMENT)
    rollout(alg, env)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 4, 1))
    n, size = batch.teachers, len(batch)
    both = with_images(batch, alg.symmetry)
    assert (both.teachers, both.copies, len(both)) == (2 * n, 2, 2 * size)
    for name in ("privileged", "proprioception"):
        own = batch.observations[name]
        expected = torch.cat([own[:n], -own[:n], own[n:], -own[n:]])
        assert torch.equal(both.observations[name], expected)
    assert torch.equal(both.actions[:n], batch.actions[:n]) and torch.equal(both.actions[n : 2 * n], -batch.actions[:n])
    for name in ("values", "advantages", "returns", "old_log_prob", "index"):
        own = getattr(batch, name)
        assert torch.equal(getattr(both, name), torch.cat([own[:n], own[:n], own[n:], own[n:]]))
    arranged = by_copy(both, both.actions)
    assert torch.equal(arranged[0], batch.actions) and torch.equal(arranged[1], -batch.actions)
    assert alg.teacher_mask[both.index[: 2 * n] % env.num_envs].all()
    assert not alg.teacher_mask[both.index[2 * n :] % env.num_envs].any()


def test_four_fold_symmetry_keeps_the_roles_too():
    def four(env, obs, actions):
        factors = (1.0, -1.0, 2.0, -2.0)
        return (
            TensorDict({k: torch.cat([f * v for f in factors]) for k, v in obs.items()}, [4 * len(obs)]),
            torch.cat([f * actions for f in factors]),
        )

    alg, env = make_cts(symmetry_cfg=AUGMENT | {"data_augmentation_func": four})
    rollout(alg, env)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 4, 1))
    many = with_images(batch, alg.symmetry)
    assert many.teachers == 4 * batch.teachers
    for factor, block in zip((1.0, -1.0, 2.0, -2.0), by_copy(many, many.actions), strict=True):
        assert torch.equal(block, factor * batch.actions)


def test_a_function_that_makes_no_images_is_named():
    alg, env = make_cts(symmetry_cfg=AUGMENT | {"data_augmentation_func": lambda env, obs, actions: (obs, actions)})
    rollout(alg, env)
    with pytest.raises(ValueError, match="data_augmentation_func made .* rows of .* samples"):
        alg.update()


def test_latents_of_images_come_from_their_own_encoder_inputs():
    alg, env = make_cts(symmetry_cfg=AUGMENT)
    rollout(alg, env)
    alg.update()  # E^s and the statistics are no longer those of the start
    rollout(alg, env)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 2, 1))
    both = with_images(batch, alg.symmetry)
    latent = by_copy(both, alg.latents(both, alg.student_latents(both).latents))
    n = batch.teachers
    histories = alg.history.at(batch.index[n:])
    student, teacher = alg.student_policy(), alg.teacher_policy()
    for sign, block in zip((1.0, -1.0), latent, strict=True):
        torch.testing.assert_close(block[:n], teacher.latent(sign * batch.observations["privileged"][:n]))
        torch.testing.assert_close(block[n:], student.latent(sign * histories))
    assert not torch.allclose(latent[0], latent[1])


@pytest.mark.parametrize("symmetry_cfg", [AUGMENT, LOSS, BOTH])
@pytest.mark.parametrize("gradient", ["reconstruction", "surrogate"])
def test_gradients_go_where_they_go_without_symmetry(symmetry_cfg, gradient):
    alg, env = make_cts(schedule="fixed", symmetry_cfg=symmetry_cfg, student_encoder_gradient=gradient)
    rollout(alg, env)
    alg.update()
    rollout(alg, env)
    losses = alg.losses(next(role_batches(alg.storage, alg.teacher_mask, 2, 1)))
    on, student = dict.fromkeys(PARTS, False), gradient == "surrogate"
    assert gradients(alg, losses.report["surrogate_teacher"]) == on | {"policy": True, "std": True, "teacher": True}
    assert gradients(alg, losses.report["surrogate_student"]) == on | {"policy": True, "std": True, "student": student}
    assert gradients(alg, losses.report["value"]) == on | {"critic": True}
    assert gradients(alg, losses.report["entropy"]) == on | {"std": True}
    assert gradients(alg, losses.total) == dict.fromkeys(PARTS, True) | {"student": student}
    if symmetry_cfg is AUGMENT:
        assert not losses.report["symmetry"].requires_grad
    else:
        assert gradients(alg, losses.report["symmetry"]) == on | {"policy": True, "teacher": True, "student": student}


@pytest.mark.parametrize("symmetry_cfg", [AUGMENT, LOSS])
def test_the_pull_on_the_teacher_latent_sees_the_samples_that_train(symmetry_cfg):
    alg, env = make_cts(symmetry_cfg=symmetry_cfg, latent_pull=0.1)
    rollout(alg, env)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 2, 1))
    losses = alg.losses(batch)
    n, factors = batch.teachers, (1.0, -1.0) if symmetry_cfg is AUGMENT else (1.0,)
    states, histories = batch.observations["privileged"][n:], alg.history.at(batch.index[n:])
    student, teacher = alg.student_policy(), alg.teacher_policy()
    distances = [(teacher.latent(f * states) - student.latent(f * histories)).square().sum(-1) for f in factors]
    torch.testing.assert_close(losses.report["latent_pull"], torch.cat(distances).mean())


@pytest.mark.parametrize("student", ["gru", "lstm"])
def test_a_recurrent_student_is_refused(student):
    with pytest.raises(
        ValueError, match="symmetry_cfg does not go with a recurrent networks.student_encoder.*symmetry=exact"
    ):
        make_cts(symmetry_cfg=AUGMENT, student=student)


def make_odd(**algorithm) -> tuple[CTS, DriftEnv]:
    """CTS whose networks are odd functions, and so equivariant to the change of sign."""
    cfg = task(symmetry_cfg=LOSS, schedule="fixed", **algorithm)
    for node in cfg["networks"].values():
        node["activation"] = "tanh"
        node.pop("obs_normalization", None)
    torch.manual_seed(0)
    env = DriftEnv(16)
    alg = CTS.construct_algorithm(env.get_observations(), env, runner_cfg(**cfg), "cpu")
    for name, parameter in [*alg.actor.named_parameters(), *alg.student_policy().encoder.named_parameters()]:
        if name.endswith("bias"):
            parameter.data.zero_()
    return alg, env


def test_the_mirror_loss_of_an_equivariant_policy_is_zero():
    alg, env = make_odd()
    rollout(alg, env)
    losses = alg.losses(next(role_batches(alg.storage, alg.teacher_mask, 2, 1)))
    assert losses.report["symmetry"].item() < 1e-12
    assert max(grad.abs().max() for grad in step_gradients(alg, losses.report["symmetry"])) < 1e-6


@pytest.mark.parametrize("biased", ["policy", "teacher", "student"])
def test_the_mirror_loss_of_any_other_policy_is_the_mean_squared_difference(biased):
    alg, env = make_odd()
    encoders = {"teacher": alg.actor.teacher_encoder, "student": alg.student_policy().encoder}
    for name, parameter in encoders.get(biased, alg.actor.mlp).named_parameters():
        if name.endswith("bias"):
            parameter.data.fill_(0.1)
    rollout(alg, env)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 2, 1))
    losses = alg.losses(batch)
    n, difference = batch.teachers, []
    for policy, context, part_rows in (
        (alg.teacher_policy(), batch.observations["privileged"][:n], slice(n)),
        (alg.student_policy(), alg.history.at(batch.index[n:]), slice(n, None)),
    ):
        proprioception = batch.observations["proprioception"][part_rows]
        difference.append(policy(-proprioception, -context) + policy(proprioception, context))
    expected = torch.cat(difference).square().mean()
    assert expected > 1e-6
    torch.testing.assert_close(losses.report["symmetry"], expected)
    without = losses.report["surrogate"] + losses.report["value"] - 0.01 * losses.report["entropy"]
    torch.testing.assert_close(losses.total, without + 0.5 * losses.report["symmetry"])


def test_the_target_of_the_mirror_loss_has_no_gradient():
    """As in rsl_rl: images follow samples, and not the other way round."""
    alg, env = make_cts(symmetry_cfg=LOSS)
    rollout(alg, env)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 1, 1))
    loss = alg.losses(batch).report["symmetry"]
    weight = alg.actor.mlp[-1].bias
    (grad,) = torch.autograd.grad(loss, weight)
    n = batch.teachers
    obs = batch.observations["proprioception"]
    teacher, student, histories = alg.teacher_policy(), alg.student_policy(), alg.history.at(batch.index[n:])
    own = torch.cat([teacher(obs[:n], batch.observations["privileged"][:n]), student(obs[n:], histories)])
    image = torch.cat([teacher(-obs[:n], -batch.observations["privileged"][:n]), student(-obs[n:], -histories)])
    # Of mean over B x d of (image + own)^2, with own held, by the last layer's bias.
    torch.testing.assert_close(grad, 2.0 * (image + own).mean(0) / own.shape[1])


@pytest.mark.parametrize("symmetry_cfg", [AUGMENT, LOSS])
def test_the_regression_sees_mirrored_pairs_with_augmentation_alone(symmetry_cfg):
    alg, env = make_cts(symmetry_cfg=symmetry_cfg, reconstruction_epochs=1, reconstruction_mini_batches=1)
    rollout(alg, env)
    states = alg.storage.observations["privileged"][:, alg.driver.student_ids].flatten(0, 1)
    index = torch.arange(STEPS).repeat_interleave(len(alg.driver.student_ids)) * env.num_envs
    histories = alg.history.at(index + alg.driver.student_ids.repeat(STEPS))
    factors = (1.0, -1.0) if symmetry_cfg is AUGMENT else (1.0,)
    with torch.no_grad():
        errors = [alg.student_policy().latent(f * histories) - alg.teacher_policy().latent(f * states) for f in factors]
    means = defaultdict(list)
    alg.regression.finish(means)
    assert means["reconstruction"][0] == pytest.approx(torch.cat(errors).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"symmetry_cfg": AUGMENT},
        {"symmetry_cfg": LOSS},
        {"symmetry_cfg": BOTH, "kl_samples": "student", "normalize_advantage_per_mini_batch": True},
        {"symmetry_cfg": {"data_augmentation_func": flip}},
        {"symmetry_cfg": BOTH, "teacher_fraction": 0.0},
        {"symmetry_cfg": BOTH, "teacher_fraction": 1.0},
        {"symmetry_cfg": BOTH, "reconstruction_envs": "all", "use_mixed_precision": True},
        {"symmetry_cfg": BOTH, "student": "moe"},
        {"symmetry_cfg": LOSS, "student": "moe", "student_encoder_gradient": "surrogate"},
    ],
)
def test_symmetry_trains(options):
    alg, env = make_cts(**options)
    before = snapshot(alg)
    for _ in range(2):
        rollout(alg, env)
        result = alg.update()
    assert result["skipped_updates"] == 0
    assert result["symmetry"] > 0
    assert all(value.isfinite().all() for value in snapshot(alg).values())
    assert any(not torch.equal(value, before[name]) for name, value in snapshot(alg).items())


def test_the_mirror_loss_makes_the_policy_equivariant():
    results = {}
    for name, cfg in {"logged": {"data_augmentation_func": flip}, "used": LOSS | {"mirror_loss_coeff": 10.0}}.items():
        alg, env = make_cts(symmetry_cfg=cfg)
        for _ in range(8):
            rollout(alg, env)
            results[name] = alg.update()["symmetry"]
    assert results["used"] < 0.3 * results["logged"]


@pytest.mark.parametrize("symmetry_cfg", [AUGMENT, LOSS])
def test_stock_ppo_takes_the_same_keys(symmetry_cfg):
    torch.manual_seed(0)
    runner = OnPolicyRunner(DriftEnv(8), runner_cfg(**task("ppo", symmetry_cfg=symmetry_cfg)), None, "cpu")
    runner.learn(1)
    rollout(runner.alg, runner.env)
    assert runner.alg.update()["symmetry"] > 0


@pytest.mark.parametrize("name", ["cts", "ppo"])
def test_the_function_is_filled_in(name):
    filled = runner_cfg(**task(name, symmetry_cfg={"use_data_augmentation": True}))["algorithm"]["symmetry_cfg"]
    assert filled == {"use_data_augmentation": True, "data_augmentation_func": AUGMENTATION}
    assert runner_cfg(**task(name)).get("symmetry_cfg") is None


def test_no_symmetry_suits_an_algorithm_that_knows_none():
    cfg = task(symmetry_cfg=None, class_name="rsl_rl.algorithms:Distillation")
    for key in list(cfg["algorithm"]):
        if key not in ("class_name", "symmetry_cfg", "learning_rate", "num_learning_epochs"):
            del cfg["algorithm"][key]
    assert "symmetry_cfg" not in runner_cfg(**cfg)["algorithm"]
    cfg["algorithm"]["symmetry_cfg"] = {"use_data_augmentation": True}
    with pytest.raises(ValueError, match="unknown key algorithm.symmetry_cfg"):
        runner_cfg(**cfg)


@pytest.mark.parametrize(
    ("symmetry_cfg", "message"),
    [
        (True, "algorithm.symmetry_cfg must be null or have the keys"),
        (
            {"use_mirror": True},
            "unknown key algorithm.symmetry_cfg.use_mirror; allowed are: exact, data",
        ),
        ({"use_mirror_loss": 1}, "algorithm.symmetry_cfg.use_mirror_loss must be true or false"),
        ({"use_mirror_loss": True}, "mirror_loss_coeff is 0, so use_mirror_loss has no effect"),
        ({"mirror_loss_coeff": -1.0}, "mirror_loss_coeff must be a number of at least 0"),
        ({"data_augmentation_func": "nowhere:mirror"}, "data_augmentation_func 'nowhere:mirror' is none of"),
    ],
)
def test_bad_options_of_symmetry_are_named(symmetry_cfg, message):
    with pytest.raises(ValueError, match=message):
        runner_cfg(**task(symmetry_cfg=symmetry_cfg))
