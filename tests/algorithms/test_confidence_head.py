"""The confidence head: it learns the student's survival, and the policy does not notice."""

import copy

import pytest
import torch
from builders import STEPS, rollout, snapshot
from distilled_builders import build, method_cfg, with_axes
from toy_env import FallingEnv

from legged_cts.algorithms.confidence_head import ConfidenceHead, ConfidenceOptions
from legged_cts.algorithms.episode_ends import time_outs
from legged_cts.export.checkpoint import trained_algorithm

HEAD = {"horizon": 4, "hidden_dims": [16], "learning_rate": 1e-2}
KEYS = {"confidence/loss", "confidence/predicted", "confidence/observed"}


def falling(rates, axes=None, confidence=HEAD, episode=10**6, **options):
    env = FallingEnv(rates, episode)
    return with_axes(axes, len(rates), env=env, confidence=confidence, **options)


def train(alg, env, iterations):
    found = []
    for _ in range(iterations):
        rollout(alg, env)
        alg.update()
        found.append({key: alg.diagnostics.scalars[key] for key in KEYS})
    return found


# The policy does not notice


@pytest.mark.parametrize("axes", [{}, {"coef": 0.5, "driver": {"unit": "step", "share": 0.3}}])
@pytest.mark.parametrize("student", ["mlp", "gru"])
def test_with_and_without_it_the_policy_is_the_same_bit_by_bit(axes, student):
    rates = torch.full((16,), 0.1)
    runs = []
    for confidence in (HEAD, None):
        alg, env = falling(rates, axes, confidence, student=student)
        for _ in range(3):
            rollout(alg, env)
            result = alg.update()
        runs.append((snapshot(alg), result, alg.optimizer.state_dict(), torch.rand(2), alg.diagnostics.scalars))
    (mine, result, optimizer, noise, found), (theirs, other, without, same, plain) = runs
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert result == other and torch.equal(noise, same)
    for key, state in without["state"].items():
        assert torch.equal(optimizer["state"][key]["exp_avg"], state["exp_avg"])
    assert found.keys() - plain.keys() == KEYS and not plain.keys() & KEYS


# What it learns


def test_it_learns_the_students_rate_and_not_the_teachers():
    """In the training loop: falls at random with 0.05 per step under the student, 0.005 under the teacher."""
    alg, env = falling(torch.zeros(256), {"driver": 0.5}, num_learning_epochs=1)
    alg.begin_iteration()
    env.rates = torch.where(alg.driver.teacher_acts, 0.005, 0.05)
    found = train(alg, env, 40)
    predicted, observed = (sum(row[f"confidence/{name}"] for row in found[-10:]) / 10 for name in
                           ("predicted", "observed"))  # fmt: skip
    assert observed == pytest.approx(0.95**4, abs=0.02)
    assert predicted == pytest.approx(0.95**4, abs=0.02) and 0.995**4 - predicted > 0.12
    assert found[-1]["confidence/loss"] < found[0]["confidence/loss"]


def test_it_tells_dangerous_states_from_safe_ones():
    """Only where the drift points right falls happen, which the latent of the history may show."""
    alg, env = falling(torch.full((256,), -0.3), episode=25, num_learning_epochs=1)
    found = train(alg, env, 60)
    chance = found[-1]["confidence/observed"]
    entropy = -(chance * torch.tensor(chance).log() + (1 - chance) * torch.tensor(1 - chance).log()).item()
    assert found[-1]["confidence/loss"] < 0.8 * entropy, (found[-1], entropy)


def test_numbers_by_hand():
    """One environment, horizon 2: falls in the third step, a time-out in the fifth, the teacher from the sixth on."""
    head = ConfidenceHead(ConfidenceOptions(2), 1, 7, 1, "cpu")
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.mlp[-1].bias.fill_(2.0)
    dones = torch.tensor([0, 0, 1, 0, 1, 0, 0]).view(7, 1)
    for step in range(7):
        head.record(step, torch.tensor([step == 4]), torch.tensor([9]))
    acts = torch.tensor([False] * 5 + [True] * 2).view(7, 1)
    found = head.fit(torch.zeros(7, 1, 1), dones, acts, coins=False, batches=1)
    # Judged are the first three, a survival and two falls: ln(1 + e^-2) and ln(1 + e^2). The time-out cuts the fourth.
    by_hand = {"loss": (0.126928 + 2 * 2.126928) / 3, "predicted": 0.880797, "observed": 1 / 3}
    assert found == pytest.approx(by_hand, abs=1e-5)


def test_without_a_step_of_the_student_nothing_is_learned_or_said():
    alg, env = falling(torch.full((8,), 0.1), {"driver": 1.0, "learn": {"rl": "teacher"}})
    before = copy.deepcopy(alg.heads.confidence.state_dict())
    rollout(alg, env)
    alg.update()
    assert not alg.diagnostics.scalars.keys() & KEYS
    assert all(torch.equal(value, before[key]) for key, value in alg.heads.confidence.state_dict().items())


def test_without_time_outs_every_end_is_a_fall():
    dones = torch.tensor([1, 0])
    assert time_outs({}, dones).tolist() == [False, False]
    assert time_outs({"time_outs": torch.tensor([1.0, 0.0])}, dones).tolist() == [True, False]


def test_numbers_that_are_not_finite_take_no_step():
    head = ConfidenceHead(ConfidenceOptions(1), 1, 2, 1, "cpu")
    before = copy.deepcopy(head.state_dict())
    nobody = torch.zeros(2, 1, dtype=torch.bool)
    head.fit(torch.full((2, 1, 1), torch.nan), nobody, nobody, False, 1)
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())


@pytest.mark.parametrize(("unit", "share", "length"), [("step", 0.6, 0), ("suffix", 1.0, 4)])
def test_what_the_driver_does_is_no_outcome_of_the_student(unit, share, length):
    """Falls at 0.1 per step whoever drives: the observed rate is the student's, however the driver cuts horizons."""
    axes = {"coef": 0.1, "driver": {"unit": unit, "share": share, "length": length}}
    alg, env = falling(torch.full((512,), 0.1), axes, num_learning_epochs=1)
    found = train(alg, env, 6)
    observed = sum(row["confidence/observed"] for row in found) / len(found)
    assert observed == pytest.approx(0.9**4, abs=0.03)


# Checkpoints


def test_a_resumed_head_goes_on_as_if_nothing_had_happened():
    rates = torch.full((16,), 0.1)
    alg, env = falling(rates)
    train(alg, env, 2)
    state, world = copy.deepcopy(alg.save()), copy.deepcopy(env)
    other, _ = falling(rates, seed=3)
    assert other.load(state, None, True)
    ends = []
    for algorithm, environment in ((alg, env), (other, world)):
        torch.manual_seed(7)
        ends.append((train(algorithm, environment, 2), algorithm.heads.confidence.state_dict()))
    assert ends[0][0] == ends[1][0]
    assert all(torch.equal(value, ends[1][1][key]) for key, value in ends[0][1].items())


def test_a_new_run_takes_the_head_if_there_is_one():
    rates = torch.full((8,), 0.1)
    alg, env = falling(rates)
    train(alg, env, 1)
    networks = {"actor": True, "critic": True}
    fresh, _ = falling(rates, seed=3)
    fresh.load(alg.save(), networks, True)
    mine, theirs = fresh.heads.confidence.state_dict(), alg.heads.confidence.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs) and not fresh.heads.confidence.optimizer.state
    plain, _ = falling(rates, confidence=None)
    before = copy.deepcopy(mine)
    fresh.load(plain.save(), networks, True)
    assert all(torch.equal(value, before[key]) for key, value in fresh.heads.confidence.state_dict().items())
    with pytest.raises(KeyError, match="confidence_state_dict"):
        fresh.load(plain.save(), None, True)


def test_whoever_rebuilds_the_policy_from_a_checkpoint_needs_no_head():
    cfg = method_cfg("estimator", 4, {"algorithm": {"confidence": HEAD}})
    alg, env = build(cfg)
    rollout(alg, env)
    alg.update()
    info = {"proprioception": 2, "history_length": 3, "privileged": 4, "actions": 2}
    rebuilt = trained_algorithm({**alg.save(), "config": cfg, "env_info": info})
    obs = env.get_observations()
    with torch.no_grad():
        assert torch.equal(rebuilt.student_policy()(obs), alg.student_policy()(obs))


# Options


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({}, r"confidence\.horizon must be a number of steps from 1 to runner\.num_steps_per_env \(10\), got None"),
        ({"horizon": STEPS + 1}, r"confidence\.horizon must be"),
        ({"horizon": 0}, r"confidence\.horizon must be"),
        ({"horizon": 2.5}, r"confidence\.horizon must be"),
        ({"horizon": 3, "coef": 1.0}, r"unknown key algorithm\.confidence\.coef; allowed are: horizon, hidden_dims"),
        ({"horizon": 3, "hidden_dims": []}, r"confidence\.hidden_dims must be a list of widths"),
        ({"horizon": 3, "hidden_dims": 64}, r"confidence\.hidden_dims must be a list of widths"),
        ({"horizon": 3, "learning_rate": 0.0}, r"confidence\.learning_rate must be a positive number"),
    ],
)
def test_wrong_options_name_the_field(node, words):
    with pytest.raises(ValueError, match=words):
        with_axes(confidence=node)
