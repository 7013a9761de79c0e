"""``match: privileged``: the student's latent estimates what the teacher sees."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from builders import rollout, snapshot
from distilled_builders import build, method_cfg, with_axes
from toy_env import HidingEnv

from legged_cts.algorithms.estimate import Estimate

AXES = {"coef": 0.5, "match": "privileged"}


def hiding(num_envs=64, overrides=None):
    """The estimator on an environment that also hides numbers from everyone but the teacher."""
    cfg = method_cfg("estimator", 4, overrides)
    for name in ("teacher", "critic"):
        cfg["runner"]["obs_groups"][name] = ["privileged", "hidden"]
    return build(cfg, env=HidingEnv(num_envs))


# By hand


def small():
    """Two columns in group a and one in b; latents of width 2 are read out as they are, then their sum."""
    alg, _ = with_axes(AXES)
    actor = copy.deepcopy(alg._raw_actor)
    actor.teacher_groups, actor.teacher_dim, actor.latent_dim = ["a", "b"], 3, 2
    actor.teacher_encoder.normalizer = torch.nn.Identity()
    estimate = Estimate(SimpleNamespace(_raw_actor=actor, device="cpu"), {"a": 2, "b": 1, "c": 9})
    with torch.no_grad():
        estimate.module.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        estimate.module.head.bias.zero_()
    return estimate


def test_errors_and_explained_variance_by_hand():
    estimate = small()
    latents = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [5.0, 5.0]])
    obs = {"a": torch.tensor([[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]]), "b": torch.tensor([[4.0], [4.0], [0.0]])}
    # Differences (0, -2, -3), (0, 2, -5), (5, 5, 10).
    assert estimate.errors(latents, obs).tolist() == pytest.approx([13 / 3, 29 / 3, 50.0])
    rows = torch.tensor([True, True, False])
    found = estimate.explained(latents, obs, rows)
    assert found["a"] == pytest.approx(1 - 4 / 5) and math.isnan(found["b"])  # b does not vary in these rows
    assert estimate.explained(latents, obs, ~rows & False) == {}
    obs["b"][1] = 0.0
    assert estimate.explained(latents, obs, rows)["b"] == pytest.approx(1 - (9 + 1) / 2 / 4)


def test_the_loss_is_the_mean_error_of_the_states_that_count():
    for states in ("all", "student"):
        alg, env = with_axes({**AXES, "driver": 0.5}, distillation_states=states, value_loss_coef=0.0, entropy_coef=0.0)
        rollout(alg, env)
        alg.update()
        rollout(alg, env)
        batch = next(alg.batches())
        losses = alg.losses(batch)
        n = batch.teachers
        target = alg.actor.teacher_encoder.normalizer(batch.observations["privileged"])
        encoded = alg.student_rollout.encode(batch.index).latents
        error = (alg.estimate.module.head(encoded) - target).square().mean(1)
        expected = error[n:].mean() if states == "student" else error.mean()
        torch.testing.assert_close(losses.report["distillation"], expected.detach())
        torch.testing.assert_close(losses.total, losses.report["surrogate"] + 0.5 * expected)


def test_the_gradient_goes_into_the_read_out_and_the_students_encoder():
    alg, env = with_axes({**AXES, "driver": 0.5, "learn": {"rl": "none"}}, value_loss_coef=0.0, entropy_coef=0.0)
    rollout(alg, env)
    batch = next(alg.batches())
    alg.losses(batch).total.backward()
    reached = {name for name, p in alg.student_policy().encoder.named_parameters() if p.grad.any()}
    assert reached == {name for name, _ in alg.student_policy().encoder.named_parameters()}
    assert all(p.grad.any() for p in alg.estimate.module.parameters())
    assert all(p.grad is None or not p.grad.any() for p in [*alg.actor.parameters(), *alg.critic.parameters()])


def test_ppo_trains_the_students_encoder_as_well():
    moved = []
    for coef in (0.0, 0.5):
        alg, env = with_axes({**AXES, "coef": coef}, schedule="fixed")
        before = copy.deepcopy(alg.estimate.module.state_dict())
        first = snapshot(alg)
        rollout(alg, env)
        alg.update()
        after = snapshot(alg)
        assert any(not torch.equal(after[name], first[name]) for name in first if name.startswith("student."))
        moved.append(any(not torch.equal(v, before[k]) for k, v in alg.estimate.module.state_dict().items()))
    assert moved == [False, True]


def test_its_parameters_are_a_group_of_the_students_optimizer_at_ppos_rate():
    alg, env = with_axes(AXES)
    rollout(alg, env)
    alg.update()
    groups = alg.student_optimizer.param_groups
    assert [id(p) for p in groups[1]["params"]] == [id(p) for p in alg.estimate.module.parameters()]
    assert {group["lr"] for group in groups} == {alg.learning_rate}


def test_a_read_out_that_is_not_finite_takes_no_step():
    alg, env = with_axes(AXES)
    rollout(alg, env)
    handle = alg.estimate.module.head.weight.register_hook(lambda grad: grad * float("nan"))
    before = snapshot(alg)
    assert alg.update()["skipped_updates"] == alg.num_mini_batches * alg.num_learning_epochs
    handle.remove()
    assert all(torch.equal(value, before[name]) for name, value in snapshot(alg).items())


# Nothing without it


def test_with_no_weight_it_is_ppo_bit_by_bit():
    runs = []
    for axes in ({}, {"match": "privileged"}):
        alg, env = with_axes(axes)
        for i in range(2):
            torch.manual_seed(i)
            rollout(alg, env)
            alg.update()
        runs.append(snapshot(alg))
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


# Learning


def test_it_recovers_what_the_history_shows_and_not_what_is_hidden():
    alg, env = hiding(64, {"algorithm": {"schedule": "fixed", "learning_rate": 2e-3, "student_learning_rate": 2e-3}})
    found = []
    for _ in range(50):
        rollout(alg, env)
        alg.update()
        found.append({name: value for name, value in alg.diagnostics.scalars.items() if name.startswith("estimate/")})
    assert found[0].keys() == {"estimate/r2/privileged", "estimate/r2/hidden"}
    assert found[0]["estimate/r2/privileged"] < 0.3
    assert found[-1]["estimate/r2/privileged"] > 0.85, found[-1]
    assert abs(found[-1]["estimate/r2/hidden"]) < 0.15, found[-1]


@pytest.mark.parametrize("student", ["gru", "moe"])
@pytest.mark.parametrize("driver", [0.0, {"unit": "step", "share": 0.3}])
def test_every_student_learns_it(student, driver):
    alg, env = with_axes({"coef": 1.0, "match": "privileged", "driver": driver}, student=student, learning_rate=3e-3)
    found = []
    for _ in range(10):
        rollout(alg, env)
        result = alg.update()
        assert result["skipped_updates"] == 0
        found.append(result["distillation"])
    assert found[-1] < 0.8 * found[1], found  # the first is in raw units, before the normaliser has seen anything


def test_the_students_states_alone_are_compared_where_they_alone_count():
    alg, env = with_axes({**AXES, "driver": 1.0, "learn": {"rl": "teacher"}}, distillation_states="student")
    rollout(alg, env)
    alg.update()
    assert not any(name.startswith("estimate/") for name in alg.diagnostics.scalars)


# Checkpoints and refusals


def test_a_resumed_run_goes_on_bit_by_bit():
    alg, env = with_axes({**AXES, "driver": 0.5})
    for _ in range(2):
        rollout(alg, env)
        alg.update()
    state, world = copy.deepcopy(alg.save()), copy.deepcopy(env)
    other, _ = with_axes({**AXES, "driver": 0.5}, seed=5)
    assert other.load(state, None, True)
    ends = []
    for algorithm, environment in ((alg, env), (other, world)):
        torch.manual_seed(9)
        rollout(algorithm, environment)
        ends.append((algorithm.update(), snapshot(algorithm), algorithm.estimate.module.state_dict()))
    assert ends[0][0] == ends[1][0]
    for mine, theirs in zip(ends[0][1:], ends[1][1:], strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_columns_of_unlike_units_are_refused():
    cfg = method_cfg("estimator", 4, {"networks": {"teacher_encoder": {"obs_normalization": False}}})
    with pytest.raises(ValueError, match=r"match = privileged needs networks\.teacher_encoder\.obs_normalization true"):
        build(cfg)
