"""The late pull of the teacher's latent towards the student's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import PARTS, gradients, make_cts, rollout, snapshot

from legged_cts.algorithms.losses import latent_distance, ramp


def test_distance_by_hand():
    latents, targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.5]])
    assert latent_distance(latents, targets).item() == pytest.approx((2.0 + 0.25) / 2)


def test_ramp_by_hand():
    assert [ramp(i, 3, 4) for i in range(9)] == [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [ramp(i, 0, 1) for i in range(2)] == [1.0, 1.0]


def test_it_reaches_the_teacher_encoder_alone():
    alg, env = make_cts(latent_pull=0.05)
    rollout(alg, env)
    losses = alg.losses(next(alg.batches()))
    assert gradients(alg, losses.report["latent_pull"]) == dict.fromkeys(PARTS, False) | {"teacher": True}
    assert gradients(alg, losses.total)["student"] is False


def test_it_adds_its_weight_times_the_distance_on_student_samples():
    alg, env = make_cts(latent_pull=0.05, latent_pull_start=1, latent_pull_ramp=2)
    totals = []
    rollout(alg, env)
    batch = next(alg.batches())
    for iteration in range(4):
        alg.iteration = iteration
        losses = alg.losses(batch)
        totals.append(losses.total.item())
        assert ("latent_pull" not in losses.report) == (iteration == 0)
    states = batch.observations["privileged"][batch.teachers :]
    z = alg.teacher_policy().latent(states).detach().numpy()
    student = alg.storage.observations["latent"].flatten(0, 1)[batch.index[batch.teachers :]].numpy()
    pull = np.mean(np.sum((z - student) ** 2, axis=-1))
    assert losses.report["latent_pull"].item() == pytest.approx(pull, rel=1e-5)
    assert np.diff(totals) == pytest.approx([0.025 * pull, 0.025 * pull, 0.0], abs=1e-6)


def test_before_it_starts_nothing_changes():
    """Bit for bit the run without it, and another one from the first iteration with it."""
    runs = []
    for options in ({}, {"latent_pull": 0.5, "latent_pull_start": 2}):
        alg, env = make_cts(**options)
        states = []
        for _ in range(3):
            rollout(alg, env)
            result = alg.update()
            states.append(snapshot(alg))
        assert ("latent_pull" in result) == bool(options)
        runs.append(states)
    same = [all(torch.equal(a[name], b[name]) for name in a) for a, b in zip(*runs, strict=True)]
    assert same == [True, True, False]


def test_the_count_of_iterations_survives_a_checkpoint(tmp_path):
    alg, env = make_cts(latent_pull=0.1, latent_pull_ramp=10)
    for _ in range(3):
        rollout(alg, env)
        alg.update()
    assert alg.pull.weight_now == pytest.approx(0.04)
    torch.save(alg.save(), tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    other, _ = make_cts(latent_pull=0.1, latent_pull_ramp=10)
    other.load(content, {"actor": True}, True)  # networks for a new run
    assert other.iteration == 0
    other.load(content, None, True)
    assert other.pull.weight_now == alg.pull.weight_now
    del content["cts_iteration"]  # written before there was such a count
    other.load({**content, "iter": 7}, None, True)
    assert other.iteration == 7


def test_it_brings_the_latents_together():
    distances = []
    for pull in (0.0, 5.0):
        alg, env = make_cts(num_envs=32, latent_pull=pull, reconstruction_epochs=1)
        for _ in range(8):
            rollout(alg, env)
            result = alg.update()
        distances.append(result["reconstruction"])
    assert distances[1] < 0.5 * distances[0]


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_it_needs_both_groups(fraction):
    with pytest.raises(ValueError, match="algorithm.latent_pull .* no (teacher|student) environment"):
        make_cts(teacher_fraction=fraction, latent_pull=0.05)


@pytest.mark.parametrize("key", ["latent_pull", "latent_pull_start"])
def test_negative_options_are_named(key):
    with pytest.raises(ValueError, match=f"algorithm.{key} must be at least 0"):
        make_cts(**{key: -1})
    with pytest.raises(ValueError, match="algorithm.latent_pull_ramp must be at least 1"):
        make_cts(latent_pull_ramp=0)
