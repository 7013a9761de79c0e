"""Roles, rollouts, updates and checkpoints of CTS."""

import copy
import math

import pytest
import torch
from builders import STEPS, act_as, make_cts, mean_reward, positions, rollout, snapshot

from legged_cts.algorithms.minibatches import role_batches


def test_roles_and_student_mask():
    alg, env = make_cts(num_envs=10, teacher_fraction=0.7)
    assert int(alg.teacher_mask.sum()) == 7
    assert torch.equal(env.unwrapped.student_mask, ~alg.teacher_mask)
    # Evaluations measure a teacher where there was one.
    assert alg.has_teacher and not make_cts(teacher_fraction=0.0)[0].has_teacher


def test_each_environment_acts_on_the_latent_of_its_role():
    alg, env = make_cts()
    rollout(alg, env)
    stored = alg.storage.observations
    obs = stored[0]
    teacher = alg.teacher_policy().latent(obs["privileged"])
    torch.testing.assert_close(obs["latent"][alg.driver.teacher_ids], teacher[alg.driver.teacher_ids])
    student = alg.student_policy().latent(alg.history.at(positions(alg))).view(STEPS, len(alg.driver.student_ids), -1)
    torch.testing.assert_close(stored["latent"][:, alg.driver.student_ids], student)
    mean = alg.storage.distribution_params[0][0]
    torch.testing.assert_close(mean[alg.driver.teacher_ids], alg.teacher_policy()(obs)[alg.driver.teacher_ids])
    assert "history" not in stored.keys()


def test_timeouts_are_bootstrapped():
    """At a time-out the stored reward is r + gamma V(s), and the return stops there."""
    alg, env = make_cts(num_envs=4)
    env.episode_length_buf[:] = 9
    with torch.inference_mode():
        obs = env.get_observations()
        _, rewards, dones, extras = env.step(alg.act(obs))
        values = alg.transition.values.clone()
        alg.process_env_step(env.get_observations(), rewards, dones, extras)
    assert extras["time_outs"].all()
    torch.testing.assert_close(alg.storage.rewards[0], rewards.unsqueeze(1) + 0.5 * values)


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        ({"teacher_fraction": 0.0}, {"surrogate_student"}, {"surrogate_teacher", "reconstruction", "reward_teacher"}),
        ({"teacher_fraction": 0.0, "student_encoder_gradient": "reconstruction"}, {"reconstruction"}, set()),
        ({"teacher_fraction": 1.0}, {"surrogate_teacher"}, {"surrogate_student", "reconstruction"}),
        ({"teacher_fraction": 1.0, "reconstruction_envs": "all"}, {"reconstruction"}, {"surrogate_student"}),
        ({"teacher_fraction": 0.5, "kl_samples": "teacher"}, {"kl", "reconstruction"}, set()),
        ({"advantage_normalization": "per_group", "normalize_advantage_per_mini_batch": True}, {"kl"}, set()),
        ({"critic_sees_latent": False, "surrogate": "pooled", "kl_samples": "student"}, {"reconstruction"}, set()),
        ({"use_mixed_precision": True}, {"reconstruction"}, set()),
    ],
)
def test_options_train(options, present, absent):
    alg, env = make_cts(**options)
    before = snapshot(alg)
    for _ in range(2):
        rollout(alg, env)
        result = alg.update()
    assert present | {"value", "surrogate", "entropy", "skipped_updates"} <= result.keys()
    assert not absent & result.keys()
    assert all(isinstance(value, float) and math.isfinite(value) for value in result.values())
    assert result["skipped_updates"] == 0
    after = snapshot(alg)
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    expected = {"actor", "critic"}
    if options.get("teacher_fraction") != 0.0:
        expected.add("teacher")
    if options != {"teacher_fraction": 1.0}:
        expected.add("student")
    assert moved == expected


def test_student_follows_the_policy_rate_only_with_the_surrogate_gradient():
    for gradient in ("reconstruction", "surrogate"):
        alg, env = make_cts(student_encoder_gradient=gradient, learning_rate=3e-3, desired_kl=1e-6)
        rollout(alg, env)
        alg.update()
        rate = alg.student_optimizer.param_groups[0]["lr"]
        assert alg.learning_rate < 3e-3
        assert rate == (1e-3 if gradient == "reconstruction" else alg.learning_rate)


def test_no_teachers_learns_through_the_surrogate():
    alg, env = make_cts(num_envs=64, teacher_fraction=0.0, entropy_coef=0.0)
    before = mean_reward(alg, "student")
    for _ in range(20):
        rollout(alg, env)
        alg.update()
    assert mean_reward(alg, "student") > max(before, 0.5)  # 1/3 is the best without using the history


def test_advantages_per_group_have_zero_mean_in_each():
    alg, env = make_cts(advantage_normalization="per_group")
    rollout(alg, env)
    for ids in (alg.driver.teacher_ids, alg.driver.student_ids):
        group = alg.storage.advantages[:, ids]
        assert group.mean().item() == pytest.approx(0.0, abs=1e-5)
        assert group.std().item() == pytest.approx(1.0, abs=1e-4)


def test_value_bias():
    alg, env = make_cts()
    rollout(alg, env)
    bias = (alg.storage.values - alg.storage.returns)[:, alg.driver.student_ids].mean().item()
    assert alg.update()["value_bias_student"] == pytest.approx(bias, abs=1e-5)


def test_reported_reward_is_that_of_the_environment():
    alg, env = make_cts()
    rollout(alg, env)
    alg.update()  # the sums start anew with each iteration
    rewards = []
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(STEPS):
            obs, reward, dones, extras = env.step(alg.act(obs))
            rewards.append(reward.clone())
            alg.process_env_step(obs, reward, dones, extras)
        alg.compute_returns(obs)
    result = alg.update()
    rewards = torch.stack(rewards)
    assert result["reward_student"] == pytest.approx(rewards[:, alg.driver.student_ids].mean().item(), abs=1e-5)
    assert result["reward_teacher"] == pytest.approx(rewards[:, alg.driver.teacher_ids].mean().item(), abs=1e-5)


def test_non_finite_rewards_skip_every_ppo_step():
    alg, env = make_cts()
    rollout(alg, env)
    alg.update()
    rollout(alg, env)
    alg.storage.advantages = torch.full_like(alg.storage.advantages, float("nan"))
    before, optimizer = snapshot(alg), copy.deepcopy(alg.optimizer.state_dict())
    result = alg.update()
    assert result["skipped_updates"] == alg.num_learning_epochs * alg.num_mini_batches
    assert math.isnan(result["surrogate"])
    after = snapshot(alg)
    assert all(torch.equal(after[k], before[k]) for k in before if not k.startswith("student."))
    assert _equal(optimizer, alg.optimizer.state_dict())


def test_non_finite_states_change_nothing():
    alg, env = make_cts()
    rollout(alg, env)
    alg.update()
    rollout(alg, env)
    alg.storage.observations["privileged"].fill_(float("inf"))
    before = copy.deepcopy(alg.save())
    result = alg.update()
    before["cts_iteration"] += 1
    ppo, reconstruction = alg.num_learning_epochs * alg.num_mini_batches, 5 * 4
    assert result["skipped_updates"] == ppo + reconstruction
    assert _equal(before, alg.save())  # normalisation statistics included


def test_one_bad_sample_skips_one_mini_batch_per_epoch():
    alg, env = make_cts()
    rollout(alg, env)
    alg.storage.returns[3, 2] = float("nan")
    result = alg.update()
    assert result["skipped_updates"] == alg.num_learning_epochs
    assert math.isfinite(result["value"])
    assert all(value.isfinite().all() for value in snapshot(alg).values())


def test_a_finite_loss_with_a_non_finite_gradient_takes_no_step():
    alg, env = make_cts()
    rollout(alg, env)
    next(alg.critic.parameters()).register_hook(lambda grad: grad * float("inf"))
    before = snapshot(alg)
    batch = next(role_batches(alg.storage, alg.teacher_mask, 2, 1))
    losses = alg.losses(batch)
    assert losses.total.isfinite()
    assert not alg.step(losses)
    assert all(torch.equal(value, before[name]) for name, value in snapshot(alg).items())


def test_a_non_finite_loss_does_not_steer_the_learning_rate():
    alg, env = make_cts()
    rollout(alg, env)
    losses = alg.losses(next(role_batches(alg.storage, alg.teacher_mask, 2, 1)))
    losses.kl = torch.ones_like(losses.kl)
    losses.total = losses.total * float("nan")
    assert not alg.step(losses)
    assert alg.learning_rate == 1e-3


def test_checkpoint_restores_every_bit(tmp_path):
    alg, env = make_cts()
    for _ in range(2):
        rollout(alg, env)
        alg.update()
    torch.save(alg.save(), tmp_path / "model.pt")
    other, _ = make_cts(seed=1)
    assert not _equal(alg.save(), other.save())
    assert other.load(torch.load(tmp_path / "model.pt", weights_only=True), None, strict=True)
    assert _equal(alg.save(), other.save())
    assert other.learning_rate == alg.learning_rate
    # and the next iteration is the same
    results = []
    for algorithm in (alg, other):
        torch.manual_seed(7)
        _, fresh = make_cts(seed=3)
        torch.manual_seed(8)
        rollout(algorithm, fresh)
        results.append(algorithm.update())
    assert results[0] == results[1]
    assert _equal(alg.save(), other.save())


def test_partial_and_foreign_checkpoints():
    alg, env = make_cts()
    rollout(alg, env)
    alg.update()
    other, _ = make_cts(seed=1)
    fresh = copy.deepcopy(other.save()["optimizer_state_dict"])
    # what Isaac Lab passes for a fresh optimizer
    assert other.load(alg.save(), {"actor": True, "critic": True, "optimizer": False, "iteration": True}, True)
    assert _equal(alg.save()["student_encoder_state_dict"], other.save()["student_encoder_state_dict"])
    assert _equal(fresh, other.save()["optimizer_state_dict"])
    plain = {k: v for k, v in alg.save().items() if not k.startswith("student")}
    with pytest.raises(ValueError, match="student_encoder_state_dict"):
        other.load(plain, None, True)


def test_train_and_eval_mode_reach_every_network():
    alg, _ = make_cts()
    modules = [alg.actor, alg.actor.teacher_encoder, alg.critic, alg.student_policy().encoder]
    alg.eval_mode()
    assert not any(module.training for module in modules)
    alg.train_mode()
    assert all(module.training for module in modules)


def test_roles_of_inference():
    alg, env = make_cts()
    obs = env.get_observations()
    student, teacher = act_as(alg, obs, "student"), act_as(alg, obs, "teacher")
    torch.testing.assert_close(student, alg.student_policy()(obs["proprioception"], obs["history"]))
    torch.testing.assert_close(teacher, alg.teacher_policy()(obs["proprioception"], obs["privileged"]))
    assert not torch.allclose(student, teacher)
    assert alg.get_policy() is alg.student_policy()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surrogate": "mean"}, "algorithm.surrogate must be one of sum_of_means, pooled"),
        ({"reconstruction_envs": "none"}, "algorithm.reconstruction_envs"),
        ({"num_mini_batches": 0}, "algorithm.num_mini_batches"),
        ({"teacher_fraction": 0.0, "kl_samples": "teacher"}, "no teacher environment"),
        ({"teacher_fraction": 1.0, "kl_samples": "student"}, "no student environment"),
        ({"share_cnn_encoders": True}, "algorithm.share_cnn_encoders"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_cts(**options)


def _equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("student", ["mlp", "gru"])
def test_the_share_of_teachers_can_change_between_two_iterations(student):
    alg, env = make_cts(teacher_fraction=0.75, student=student)
    rollout(alg, env)
    alg.update()
    alg.set_teacher_fraction(0.25)
    assert (len(alg.driver.teacher_ids), len(alg.driver.student_ids)) == (4, 12)
    rollout(alg, env)
    stored = alg.storage.observations
    teacher = alg.teacher_policy().latent(stored[0]["privileged"])
    torch.testing.assert_close(stored[0]["latent"][alg.driver.teacher_ids], teacher[alg.driver.teacher_ids])
    assert alg.history.ids.tolist() == alg.driver.student_ids.tolist()
    before = snapshot(alg)
    losses = alg.update()
    assert losses["skipped_updates"] == 0.0 and math.isfinite(losses["reconstruction"])
    after = snapshot(alg)
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"actor", "critic", "teacher", "student"}


@pytest.mark.parametrize("student", ["mlp", "gru"])
@pytest.mark.parametrize("envs", ["student", "all"])
def test_what_trains_the_student_encoder_can_change_between_two_iterations(student, envs):
    alg, env = make_cts(student=student, reconstruction_envs=envs)
    for gradient, regresses in (("auto", True), ("surrogate", False), ("reconstruction", True)):
        alg.set_student_encoder_gradient(gradient)
        rollout(alg, env)
        before, losses = snapshot(alg), alg.update()
        (steps,) = {int(state["step"]) for state in alg.student_optimizer.state.values()}
        ppo, regression = alg.num_learning_epochs * alg.num_mini_batches, alg.regression
        # Of this iteration alone; a mini-batch of sequences may have no student.
        assert steps == regression.epochs * regression.mini_batches if regresses else 0 < steps <= ppo
        assert losses["skipped_updates"] == 0.0
        assert ("reconstruction" in losses) is regresses
        assert any(not torch.equal(before[name], value) for name, value in snapshot(alg).items() if "student" in name)
        everyone = envs == "all" and regresses
        assert len(alg.history.ids) == (alg.storage.num_envs if everyone else len(alg.driver.student_ids))
    with pytest.raises(ValueError, match=r"algorithm\.student_encoder_gradient must be one of"):
        alg.set_student_encoder_gradient("both")


def test_a_change_to_the_surrogate_trains_as_a_run_that_has_it_from_the_start():
    trained = []
    for gradient in ("surrogate", "reconstruction"):
        torch.manual_seed(3)
        alg, env = make_cts(student_encoder_gradient=gradient, schedule="fixed")
        alg.set_student_encoder_gradient("surrogate")
        rollout(alg, env)
        alg.update()
        trained.append(snapshot(alg))
    assert _equal(*trained)


def test_a_share_of_teachers_that_leaves_nothing_to_regress_is_refused():
    alg, _ = make_cts(teacher_fraction=0.75)
    with pytest.raises(ValueError, match="nothing that E"):
        alg.set_teacher_fraction(0.0)
    assert len(alg.driver.teacher_ids) == 12
