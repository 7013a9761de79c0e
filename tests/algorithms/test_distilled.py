"""The join of distillation and PPO: identities at the defaults, gradient routes, drivers, sources and refusals."""

import copy
from collections import defaultdict

import pytest
import torch
from builders import PARTS, gradients, make_cts, rollout, snapshot
from distilled_builders import build, method_cfg, with_axes, write_teacher
from rsl_rl.algorithms import PPO

from legged_cts.distillation.gaussians import DiagonalGaussian, kl


def batch_losses(axes, **options):
    alg, env = with_axes(axes, schedule="fixed", **options)
    rollout(alg, env)
    alg.update()
    rollout(alg, env)
    alg.match.prepare()
    batches = alg.batches()
    alg.step(alg.losses(next(batches)))
    batch = next(batches)
    return alg, batch, alg.losses(batch)


# No-op


def test_the_defaults_are_bitwise_ppo_on_the_policy_with_its_latent():
    """Loss and gradients of the actor and the critic equal those of rsl_rl's PPO on the same rollout."""
    alg, env = with_axes(num_learning_epochs=1, num_mini_batches=1, max_grad_norm=1e9, schedule="fixed")
    rollout(alg, env)
    state, storage = copy.deepcopy(alg.save()), alg.storage
    # The deepcopy is made of parameters alone: the evaluated distribution is not a leaf.
    twin, _ = with_axes(num_learning_epochs=1, num_mini_batches=1, max_grad_norm=1e9, schedule="fixed")
    twin.load(state, None, True)
    keys = ("gamma", "lam", "clip_param", "value_loss_coef", "entropy_coef", "use_clipped_value_loss")
    options = {key: getattr(alg, key) for key in keys}
    ppo = PPO(
        twin._raw_actor, twin.critic, storage, num_learning_epochs=1, num_mini_batches=1, max_grad_norm=1e9,
        schedule="fixed", learning_rate=alg.learning_rate, **options,
    )  # fmt: skip
    torch.manual_seed(5)
    alg.match.prepare()
    batch = next(alg.batches())
    losses = alg.losses(batch)
    alg.optimizer.zero_grad()
    losses.total.backward()
    # Batches of another size round differently, so PPO is given the very latents that the loss has seen.
    latents = alg.student_rollout.encode(batch.index).latents.detach()
    storage.observations["latent"].view(-1, latents.shape[-1])[batch.index] = latents
    torch.manual_seed(5)
    expected = ppo.update()
    assert (
        losses.report["surrogate"].item() == expected["surrogate"]
        and losses.report["value"].item() == expected["value"]
    )
    for mine, theirs in ((alg._raw_actor, ppo.actor), (alg.critic, ppo.critic)):
        for (name, a), b in zip(mine.named_parameters(), theirs.parameters(), strict=True):
            assert (a.grad is None) == (b.grad is None), name
            assert a.grad is None or torch.equal(a.grad, b.grad), name


def test_a_fixed_share_and_the_latent_regression_are_cts():
    alg, env = with_axes({"coef": 1.0, "match": "latent", "driver": {"unit": "env", "share": 0.75}})
    cts, other = build_cts()
    for algorithm, environment in ((alg, env), (cts, other)):
        for i in range(2):
            torch.manual_seed(i)
            rollout(algorithm, environment)
            algorithm.update()
    mine, theirs = snapshot(alg), snapshot(cts)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def build_cts():
    from legged_cts.algorithms.cts import CTS

    cfg = method_cfg("cts", 4, {"algorithm": {"teacher_fraction": 0.75}})
    cfg["algorithm"]["class_name"] = "legged_cts.algorithms.cts:CTS"
    alg, env = build(cfg)
    assert type(alg) is CTS
    return alg, env


# Who takes the gradient


def reached_parts(alg, loss):
    """Parts with a gradient anywhere: a shared actor's last bias shifts both means, so it may have none."""
    parts = {
        "teacher": alg.actor.teacher_encoder.parameters(),
        "student": alg.student_policy().encoder.parameters(),
        "policy": alg.actor.mlp.parameters(),
        "std": alg.actor.distribution.parameters(),
        "critic": alg.critic.parameters(),
    }
    found = set()
    for part, parameters in parts.items():
        grads = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
        if any(grad is not None and bool(grad.any()) for grad in grads):
            found.add(part)
    return found


@pytest.mark.parametrize(
    ("learn", "share", "reached"),
    [
        ("student", 0.5, {"policy", "student"}),
        ("both", 0.5, {"policy", "teacher", "student"}),
        ("student", 0.0, {"policy", "student"}),
        ("both", 1.0, {"policy", "teacher", "student"}),
    ],
)
def test_the_divergence_reaches_those_who_learn(learn, share, reached):
    options = {"coef": 1.0, "divergence": "mse", "driver": share, "learn": {"gradient": learn, "rl": "none"}}
    alg, _, losses = batch_losses(options, value_loss_coef=0.0)
    assert reached_parts(alg, losses.total) == reached
    assert losses.report["distillation"] > 0.0


def test_distillation_from_a_copy_reaches_no_teacher_encoder():
    alg, _, losses = batch_losses(
        {"coef": 1.0, "target": {"teachers": ["a"]}, "learn": {"rl": "student"}}, teachers={"a": {"source": "frozen"}}
    )
    found = gradients(alg, losses.total)
    assert found == dict.fromkeys(PARTS, True) | {"teacher": False}


def test_matching_latents_reaches_the_student_encoder_alone():
    alg, env = with_axes({"coef": 1.0, "match": "latent", "driver": 0.5})
    rollout(alg, env)
    before = snapshot(alg)
    alg.match.prepare()
    alg.regression.finish(defaultdict(list))
    changed = {name for name, value in snapshot(alg).items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith("student.")}


def test_without_reinforcement_only_distillation_and_values_train():
    _, _, losses = batch_losses({"coef": 0.0, "learn": {"rl": "none"}})
    assert losses.report["surrogate"].item() == 0.0
    torch.testing.assert_close(losses.total, losses.report["value"])


# Driver


@pytest.mark.parametrize("unit", ["step", "episode"])
def test_who_acts_is_who_is_in_the_storage(unit):
    alg, env = with_axes(
        {"coef": 1.0, "driver": {"unit": unit, "share": 0.5}, "target": {"teachers": ["a"]},
         "learn": {"rl": "student"}}, teachers={"a": {"source": "frozen"}},
    )  # fmt: skip
    rollout(alg, env)
    acted = alg.driver.acted
    assert 0.0 < acted.float().mean() < 1.0
    obs = alg.storage.observations.flatten(0, 1)
    with torch.no_grad():
        teacher = alg.teachers["a"].distribution(obs)
        student = alg.match.old_student(obs)
    mean, std = (p.flatten(0, 1) for p in alg.storage.distribution_params)
    rows = acted.flatten()
    torch.testing.assert_close(mean[rows], teacher.mean[rows])
    torch.testing.assert_close(mean[~rows], student.mean[~rows])
    log_prob = DiagonalGaussian(mean, std).log_prob(alg.storage.actions.flatten(0, 1))
    torch.testing.assert_close(log_prob, alg.storage.actions_log_prob.flatten(), atol=1e-5, rtol=1e-5)
    # Steps of the teacher are not in the student's surrogate, nor in the scale of its advantages.
    advantages = alg.storage.advantages.squeeze(-1)
    assert not advantages[acted].any()
    assert advantages[~acted].mean().abs() < 1e-5
    alg.update()


def test_returns_stop_where_another_policy_takes_over():
    alg, env = with_axes({"driver": {"unit": "step", "share": 0.5}})
    rollout(alg, env)
    acted, storage = alg.driver.acted, alg.storage
    step, who = (acted[:-1] != acted[1:]).nonzero(as_tuple=True)
    assert len(step)
    other = alg.values_of_the_other()
    expected = storage.rewards[step, who] + alg.gamma * other[step, who] * (1.0 - storage.dones[step, who].float())
    torch.testing.assert_close(storage.returns[step, who], expected)
    assert not torch.equal(other[step, who], storage.values[step + 1, who])


# Sources


def test_a_frozen_teacher_is_live_until_its_iteration():
    rl = {"schedule": "phases", "values": ["both", "student"], "until": [2]}
    axes = {"target": {"teachers": ["a"]}, "driver": 0.5, "learn": {"rl": rl}}
    alg, env = with_axes(axes, teachers={"a": {"source": "frozen", "at": 2}})
    live = []
    for _ in range(2):
        rollout(alg, env)
        live.append(alg.teachers["a"].is_live)
        alg.update()
    alg.begin_iteration()
    assert live == [True, True] and not alg.teachers["a"].is_live
    encoder = alg.teachers["a"].policy.encoder.state_dict()
    for key, value in alg.actor.teacher_encoder.state_dict().items():
        torch.testing.assert_close(encoder[key], value)


def test_a_checkpoint_of_another_size_teaches(tmp_path):
    file = write_teacher(tmp_path)
    axes = {"coef": 1.0, "learn": {"rl": "none"}, "divergence": "mse"}
    alg, env = with_axes(axes, teachers={"teacher": {"source": "checkpoint", "checkpoint": str(file)}})
    assert not alg.has_teacher
    rollout(alg, env)
    before = alg.update()["distillation"]
    for _ in range(4):
        rollout(alg, env)
        after = alg.update()["distillation"]
    assert after < before
    source, _ = make_cts()
    source.load(torch.load(file, weights_only=True), {"actor": True}, True)
    obs = env.get_observations()
    torch.testing.assert_close(alg.teacher_policy()(obs), source.teacher_policy()(obs))


def test_environments_get_the_teacher_of_their_terrain():
    axes = {"coef": 1.0, "target": {"teachers": ["a", "b"], "route": "env"}, "learn": {"rl": "student"}}
    teachers = {"a": {"source": "frozen", "terrain": ["flat"]}, "b": {"source": "frozen", "terrain": ["stairs", "gap"]}}
    alg, _ = with_axes(axes, num_envs=4, teachers=teachers)
    alg.route_by_terrain(["gap", "flat"], torch.tensor([0, 1, 1, 0]))
    assert alg.teachers.route.tolist() == [1, 0, 0, 1]
    with pytest.raises(ValueError, match="no teacher has the terrain 'slope'"):
        alg.route_by_terrain(["slope"], torch.zeros(4, dtype=torch.long))


# Places and weights


def test_return_adds_the_log_ratio_and_its_baseline_to_the_advantages():
    axes = {"coef": 0.5, "rl_coef": 0.0, "place": {"kind": "return", "baseline": "closed_form"},
            "target": {"teachers": ["a"]}, "learn": {"rl": "student"}}  # fmt: skip
    alg, env = with_axes(axes, teachers={"a": {"source": "frozen"}})
    rollout(alg, env)
    alg.update()
    rollout(alg, env)
    alg.match.prepare()
    obs = alg.storage.observations.flatten(0, 1)
    student = DiagonalGaussian(*(p.flatten(0, 1) for p in alg.storage.distribution_params))
    teacher = alg.teachers["a"].distribution(obs)
    actions = alg.storage.actions.flatten(0, 1)
    expected = 0.5 * (teacher.log_prob(actions) - student.log_prob(actions) + kl(student, teacher))
    torch.testing.assert_close(alg.storage.advantages.flatten(), expected, atol=1e-5, rtol=1e-4)


def test_ratio_with_alpha_one_is_the_plain_surrogate():
    teacher = {"a": {"source": "frozen"}}
    common = {"target": {"teachers": ["a"]}, "learn": {"rl": "student"}}
    found = []
    for alpha in (1.0, 0.5):
        alg, _ = with_axes({**common, "place": {"kind": "ratio", "alpha": alpha}}, teachers=teacher)
        env = build(method_cfg("cts"))[1]
        torch.manual_seed(3)
        rollout(alg, env)
        alg.match.prepare()
        torch.manual_seed(4)
        batch = next(alg.batches())
        seen = alg.evaluate(batch)
        seen.log_prob = log_prob = batch.old_log_prob + 0.1
        anchored = alg.terms[0].loss(seen)
        ratio = torch.exp(log_prob - batch.old_log_prob)
        a = batch.advantages.squeeze(1)
        plain = torch.max(-a * ratio, -a * ratio.clamp(0.8, 1.2)).mean()
        found.append(torch.equal(anchored, plain))
    assert found == [True, False]


def test_a_window_of_one_step_distils_resets_alone():
    axes = {"coef": 1.0, "weights": {"window": {"length": 1}}, "learn": {"rl": "none"}, "divergence": "mse"}
    alg, env = with_axes(axes)
    rollout(alg, env)
    alg.match.prepare()
    expected = (alg.driver.since_handover == 0).float().flatten()
    assert torch.equal(alg.match.weights, expected) and 0 < expected.sum() < len(expected)


def test_extrapolation_leads_past_the_teacher():
    axes = {"coef": 1.0, "target": {"teachers": ["a"], "lam": 2.0, "reference": "frozen", "clamp": None},
            "learn": {"rl": "student"}}  # fmt: skip
    teachers = {"a": {"source": "frozen"}, "reference": {"source": "frozen", "role": "student"}}
    alg, env = with_axes(axes, teachers=teachers)
    rollout(alg, env)
    alg.match.prepare()
    obs = alg.storage.observations.flatten(0, 1)
    teacher, reference = alg.teachers["a"].distribution(obs), alg.match.reference(obs)
    torch.testing.assert_close(alg.match.targets.mean, 2.0 * teacher.mean - reference.mean, atol=1e-5, rtol=1e-4)


def test_the_exposed_encoder_sees_what_the_controller_shows():
    alg, env = build(method_cfg("adaptive_exposure"))
    rollout(alg, env)
    encoder = alg._raw_actor.teacher_encoder
    assert float(encoder.ratio) == pytest.approx(alg.exposure.controller.ratio)
    states = torch.randn(5, 4)
    encoder.show(0.0)
    with torch.no_grad():
        hidden = encoder(states)
        assert torch.equal(hidden, hidden[:1].expand_as(hidden))
        encoder.show(1.0)
        assert not torch.equal(encoder(states), encoder(states)[:1].expand_as(hidden))


def test_the_controller_learns_though_rollouts_want_no_gradient():
    axes = {"exposure": {"controller": {"hold": 1}}}
    alg, env = build(method_cfg("adaptive_exposure", 4, {"algorithm": {"distillation": axes}}))
    before = copy.deepcopy(alg.exposure.controller.policy.state_dict())
    for _ in range(4):
        rollout(alg, env)  # in inference mode, in which the ratio is chosen, too
        alg.update()
    after = alg.exposure.controller.policy.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


# Refusals


@pytest.mark.parametrize(
    ("axes", "options", "words"),
    [
        ({}, {"teacher_fraction": 0.5}, "driver.share"),
        ({}, {"student_encoder_gradient": "surrogate"}, "distillation.match"),
        ({"coef": 1.0, "match": "latent", "weights": {"window": {}}}, {}, "weights.window contradicts"),
        ({"target": {"teachers": ["b"]}}, {}, "algorithm.teachers lacks"),
        ({"driver": 0.5}, {"teachers": {"teacher": {"source": "frozen"}}}, "learn.rl must be student or none"),
        ({"coef": 1.0, "learn": "both"}, {"teachers": {"teacher": {"source": "frozen"}}}, "target is a copy"),
        ({}, {"teachers": {"teacher": {"source": "file"}}}, "teachers.teacher.source"),
        ({}, {"teachers": {"teacher": {"path": "x"}}}, "unknown key algorithm.teachers.teacher.path"),
        ({}, {"teachers": {"teacher": {"source": "checkpoint"}}}, "checkpoint goes with source"),
        ({"place": "return", "learn": {"rl": "none"}, "coef": 1.0}, {}, "learn.rl student or both"),
        ({"exposure": {"mode": "ratio"}}, {}, "ExposedEncoder"),
        ({"target": {"lam": 1.5, "reference": "frozen"}}, {}, "teachers.reference"),
    ],
)
def test_contradictions_name_the_field(axes, options, words):
    with pytest.raises(ValueError, match=words):
        with_axes(axes, **options)
