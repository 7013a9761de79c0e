"""Every student encoder at every share of teachers, and the hidden state of recurrent ones."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch
from builders import PARTS, STEPS, STUDENTS, act_as, gradients, make_cts, positions, rollout, snapshot
from hypothesis import example, given, settings
from hypothesis import strategies as st

RECURRENT = ["gru", "lstm"]


@settings(max_examples=25)
@given(
    student=st.sampled_from(sorted(STUDENTS)),
    fraction=st.floats(0.0, 1.0),
    num_envs=st.integers(1, 9),
    envs=st.sampled_from(["student", "all"]),
    gradient=st.sampled_from(["auto", "surrogate"]),
)
@example(student="gru", fraction=0.0, num_envs=1, envs="student", gradient="auto")
@example(student="lstm", fraction=1.0, num_envs=1, envs="all", gradient="auto")
@example(student="gru", fraction=1.0, num_envs=3, envs="student", gradient="auto")
@example(student="moe", fraction=0.0, num_envs=5, envs="all", gradient="auto")
@example(student="lstm", fraction=0.6, num_envs=7, envs="all", gradient="surrogate")
def test_any_share_of_teachers_trains(student, fraction, num_envs, envs, gradient):
    alg, env = make_cts(
        num_envs, student=student, teacher_fraction=fraction, reconstruction_envs=envs,
        student_encoder_gradient=gradient, num_learning_epochs=2, reconstruction_epochs=2,
    )  # fmt: skip
    before = snapshot(alg)
    for _ in range(2):
        rollout(alg, env)
        result = alg.update()
    assert result["skipped_updates"] == 0
    assert all(math.isfinite(value) for value in result.values())
    after = snapshot(alg)
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    teachers, students = len(alg.driver.teacher_ids), len(alg.driver.student_ids)
    expected = {"actor", "critic"}
    if teachers:
        expected.add("teacher")
    if students or (envs == "all" and gradient == "auto" and teachers):
        expected.add("student")
    assert moved == expected


@pytest.mark.parametrize("student", RECURRENT)
@pytest.mark.parametrize("envs", ["student", "all"])
def test_sequences_give_the_latents_of_the_rollout_again(student, envs):
    """Over two rollouts, with episodes that end in the middle of both; the state is carried across."""
    alg, env = make_cts(student=student, reconstruction_envs=envs, teacher_fraction=0.5)
    env.episode_length_buf[:] = torch.arange(env.num_envs) % 7
    for _ in range(2):
        rollout(alg, env)
        encoded = alg.student_rollout.encode(positions(alg)).latents.view(STEPS, len(alg.history.ids), -1)
        acting = torch.isin(alg.history.ids, alg.driver.student_ids)
        torch.testing.assert_close(encoded[:, acting], alg.storage.observations["latent"][:, alg.driver.student_ids])
        assert alg.student_rollout._first_state.requires_grad is False
        alg.storage.clear()
    assert alg.student_rollout._first_state.any()


def test_the_state_starts_at_zero_with_each_episode_only():
    alg, env = make_cts(student="gru")
    env.episode_length_buf[:8] = 5  # the first eight restart after the fifth step
    with torch.inference_mode():
        obs = env.get_observations()
        for step in range(STEPS - 1):
            obs, rewards, dones, extras = env.step(alg.act(obs))
            assert alg.student_rollout._state.any(1).all()
            alg.process_env_step(obs, rewards, dones, extras)
            zero = ~alg.student_rollout._state.any(1)
            assert torch.equal(zero, (alg.driver.student_ids < 8) & (step == 4))


def test_returns_do_not_advance_the_state():
    alg, env = make_cts(student="lstm")
    rollout(alg, env)
    state = alg.student_rollout._state.clone()
    with torch.inference_mode():
        alg.compute_returns(env.get_observations())
    assert torch.equal(alg.student_rollout._state, state)


def test_mini_batches_hold_whole_sequences_where_the_surrogate_trains_a_recurrent_encoder():
    alg, env = make_cts(num_envs=7, student="gru", teacher_fraction=0.4, student_encoder_gradient="surrogate")
    rollout(alg, env)
    seen = []
    for batch in alg.batches():
        for rows in (batch.index[: batch.teachers], batch.index[batch.teachers :]):
            table = rows.view(STEPS, -1)
            assert torch.equal(table // 7, torch.arange(STEPS).unsqueeze(1).expand_as(table))
            assert (table % 7 == table[0] % 7).all()
        seen.append(batch.index)
    assert torch.cat(seen).sort().values.tolist() == sorted(alg.num_learning_epochs * list(range(7 * STEPS)))
    other, env = make_cts(num_envs=7, student="gru", teacher_fraction=0.4)
    rollout(other, env)
    assert len({len(batch) for batch in other.batches()} - {17, 18}) == 0  # single samples


@pytest.mark.parametrize("student", ["gru", "lstm", "moe"])
def test_gradients_go_where_those_of_the_mlp_go(student):
    on = dict.fromkeys(PARTS, False)
    for gradient in ("reconstruction", "surrogate"):
        alg, env = make_cts(
            student=student, schedule="fixed", student_encoder_gradient=gradient, num_mini_batches=1
        )  # fmt: skip
        for _ in range(2):
            rollout(alg, env)
            alg.update()
        rollout(alg, env)
        losses = alg.losses(next(alg.batches()))
        reached = gradients(alg, losses.report["surrogate_student"])
        assert reached == on | {"policy": True, "std": True, "student": gradient == "surrogate"}
        assert gradients(alg, losses.report["value"]) == on | {"critic": True}
        assert not gradients(alg, losses.report["surrogate_teacher"])["student"]


def test_the_use_of_experts_is_reported_and_its_penalty_trains_the_gate_alone():
    for gradient in ("reconstruction", "surrogate"):
        alg, env = make_cts(student="moe", student_encoder_gradient=gradient)
        rollout(alg, env)
        result = alg.update()
        shares = [result[f"expert_use_{i}"] for i in range(3)]
        assert sum(shares) == pytest.approx(1.0, abs=1e-5) and min(shares) > 0.0
    rollout(alg, env)
    batch = next(alg.batches())
    with_penalty = alg.losses(batch).total.item()
    penalty = alg.student_latents(batch).penalty.item()
    alg.student_policy().encoder.balance_weight = 0.0
    assert with_penalty - alg.losses(batch).total.item() == pytest.approx(penalty, abs=1e-6)
    assert penalty > 0.0


@pytest.mark.parametrize("student", ["gru", "lstm", "moe"])
def test_the_student_learns_to_follow_the_teacher(student):
    """On one rollout with episodes that end in it: a check that the regression's gradient is that of its loss."""
    alg, env = make_cts(
        num_envs=32, student=student, reconstruction_epochs=60, reconstruction_mini_batches=2,
        student_learning_rate=1e-2,
    )  # fmt: skip
    env.episode_length_buf[:] = torch.arange(32) % 7
    rollout(alg, env)
    means: dict[str, list[float]] = defaultdict(list)
    assert alg.regression.finish(means) == 0
    cosines = means["latent_cosine"]
    assert cosines[0] < 0.7 and sum(cosines[-4:]) / 4 > 0.9


@pytest.mark.parametrize("student", ["gru", "moe"])
def test_checkpoints_hold_the_encoder_and_a_resumed_run_starts_new_episodes(student, tmp_path):
    alg, env = make_cts(student=student)
    rollout(alg, env)
    alg.update()
    torch.save(alg.save(), tmp_path / "model.pt")
    rollout(alg, env)
    alg.storage.clear()
    expected = make_cts(seed=4)[1].get_observations()
    alg.load(torch.load(tmp_path / "model.pt", weights_only=True), None, True)
    assert not alg.student_rollout._state.any()
    other, _ = make_cts(seed=1, student=student)
    other.load(torch.load(tmp_path / "model.pt", weights_only=True), None, True)
    torch.testing.assert_close(act_as(other, expected), act_as(alg, expected))


def test_inference_of_a_recurrent_student_leaves_the_rollout_alone():
    alg, env = make_cts(student="gru")
    rollout(alg, env)
    state = alg.student_rollout._state.clone()
    first = act_as(alg, env.get_observations())
    second = act_as(alg, env.get_observations())
    assert not torch.allclose(first, second)  # it has a state of its own
    alg.get_policy().reset()
    torch.testing.assert_close(act_as(alg, env.get_observations()), first)
    assert act_as(alg, env.get_observations(), "teacher").shape == first.shape
    assert torch.equal(alg.student_rollout._state, state)
