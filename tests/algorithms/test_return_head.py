"""The value of the log-ratios: right baselines, a policy that changes by them alone, and exact resumes."""

import copy
import math

import pytest
import torch
from builders import rollout, snapshot
from distilled_builders import build, method_cfg, with_axes
from toy_env import FallingEnv

from legged_cts.algorithms.return_head import ReturnHead, ReturnHeadOptions
from legged_cts.export.checkpoint import trained_algorithm

GAMMA = 0.9
BY_VALUE = {"kind": "return", "gamma": GAMMA, "baseline": "value"}
COPY = {"teacher": {"source": "frozen"}}
KEYS = {"return_head/loss", "return_head/explained_variance"}


def distilled(place=None, seed=0, driver=0.0, episode=7, **options):
    """Episodes that end by falls and by time limits, a teacher that stays as it was, and the given place."""
    axes = {"coef": 0.5, "place": place or BY_VALUE, "driver": driver, "learn": {"rl": "student"}}
    env = FallingEnv(torch.full((16,), 0.1), episode)
    return with_axes(axes, env=env, teachers=COPY, seed=seed, **options)


def train(alg, env, iterations=2):
    for _ in range(iterations):
        rollout(alg, env)
        alg.update()


# What enters the policy


@pytest.mark.parametrize("student", ["mlp", "gru"])
@pytest.mark.parametrize("driver", [0.0, {"unit": "step", "share": 0.4}])
def test_advantages_are_those_of_the_head_step_by_step(driver, student):
    alg, env = distilled(driver=driver, student=student)
    train(alg, env, 3)
    ends = []
    record = alg.heads.returns.record
    alg.heads.returns.record = lambda step, time_outs: (ends.append(time_outs.clone()), record(step, time_outs))
    rollout(alg, env)
    # What the student's next state is worth after the last step, from the observations that come next.
    obs = env.get_observations()
    after = alg.heads.value_inputs(obs, alg._student_rollout.peek(alg._student.context(obs)))
    task, storage, acted = alg.storage.advantages.squeeze(-1).clone(), alg.storage, alg._acted
    alg._prepare()
    head, dones, cut = alg.heads.returns, storage.dones.squeeze(-1).bool(), torch.stack(ends)
    assert cut.any() and (dones & ~cut).any()
    flat = storage.observations.flatten(0, 1)
    log_ratio = alg.teachers["teacher"].distribution(flat).log_prob(storage.actions.flatten(0, 1))
    log_ratio = (log_ratio - storage.actions_log_prob.flatten()).view(acted.shape)
    with torch.no_grad():
        inputs = torch.cat([alg.critic.obs_normalizer(storage.observations["privileged"]), alg._student_latents], -1)
        values, last = head(inputs), head(after)
    steps, envs = acted.shape
    expected = task.clone()
    for n in range(envs):
        carried = 0.0
        for t in reversed(range(steps)):
            follows = (last if t == steps - 1 else values[t + 1])[n].item()
            if t < steps - 1 and acted[t + 1, n] != acted[t, n]:
                carried = 0.0
            if dones[t, n]:
                carried, follows = 0.0, values[t, n].item() if cut[t, n] else 0.0
            carried = log_ratio[t, n].item() + GAMMA * follows - values[t, n].item() + GAMMA * alg.lam * carried
            if not acted[t, n]:
                expected[t, n] += 0.5 * carried
    torch.testing.assert_close(storage.advantages.squeeze(-1), expected, atol=1e-4, rtol=1e-4)
    assert not torch.isclose(storage.advantages.squeeze(-1), task, atol=1e-3).all()


def test_a_head_that_says_zero_changes_no_bit():
    """Without a baseline the sum of all log-ratios counts, which is GAE with a weight of one and no values."""
    runs = []
    for place in (BY_VALUE, {"kind": "return", "gamma": GAMMA}):
        alg, env = distilled(place, driver={"unit": "step", "share": 0.4}, lam=1.0)
        if alg.heads.returns is not None:
            with torch.no_grad():
                for parameter in alg.heads.returns.parameters():
                    parameter.zero_()
        rollout(alg, env)
        result = alg.update()
        runs.append((snapshot(alg), result, torch.rand(2), alg.diagnostics.scalars))
    (mine, result, noise, found), (theirs, other, same, plain) = runs
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert result == other and torch.equal(noise, same)
    assert found.keys() - plain.keys() == KEYS
    alg, env = distilled(driver={"unit": "step", "share": 0.4}, lam=1.0)
    train(alg, env, 1)
    assert not all(torch.equal(value, mine[name]) for name, value in snapshot(alg).items())


# What it learns


def converged(dones, time_outs, acted, rounds=150):
    """Values of a head that has seen the same rollout of two environments, with log-ratios 1 and -2 of the student."""
    head = ReturnHead(ReturnHeadOptions((16,), 1e-2), 1, len(dones), 2, "cpu")
    rewards = torch.tensor([1.0, -2.0]).expand(dones.shape)
    for step, cut in enumerate(time_outs):
        head.record(step, cut)
    head.close(rewards[0].unsqueeze(-1))
    for _ in range(rounds):
        head.advantages(rewards.unsqueeze(-1), torch.where(acted, 100.0, rewards), dones, acted, 0.5, 0.9)
        found = head.fit(2, 2)
    with torch.no_grad():
        return head(torch.tensor([[1.0], [-2.0]])), found


@pytest.mark.parametrize(
    ("ends", "limited", "acts", "expected"),
    [
        (False, False, False, 2.0),  # 1 + 1/2 + 1/4 + ...
        (True, False, False, 1.0),  # every step is a fall: nothing follows
        (True, True, False, 2.0),  # every step runs into the time limit: the value goes on
        (False, False, True, 2.0),  # nothing of what the teacher gets leaks into the student's sum
    ],
)
def test_it_learns_the_discounted_sum(ends, limited, acts, expected):
    torch.manual_seed(0)
    shape = (6, 2)
    acted = ((torch.arange(6) % 3 == 2) & acts).unsqueeze(1).expand(shape)
    dones, cut = torch.full(shape, ends), torch.full(shape, limited)
    values, numbers = converged(dones, cut, acted)
    torch.testing.assert_close(values, torch.tensor([expected, -2.0 * expected]), atol=0.1, rtol=0.0)
    assert numbers["explained_variance"] > 0.99 and numbers["loss"] < 0.02


def test_numbers_by_hand():
    """Two steps of two students, with a head that says 1 everywhere and nothing discounted."""
    head = ReturnHead(ReturnHeadOptions(), 1, 2, 2, "cpu")
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.mlp[-1].bias.fill_(1.0)
    nobody = torch.zeros(2, 2, dtype=torch.bool)
    found = head.advantages(torch.zeros(2, 2, 1), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), nobody, nobody, 1.0, 0.0)
    assert found.tolist() == [[1.0, 2.0], [3.0, 4.0]]  # l + 1 - 1
    # The returns 2, 3, 4, 5 against 1; a constant explains nothing.
    assert head.fit(0, 1) == {"loss": (1 + 4 + 9 + 16) / 4, "explained_variance": 0.0}
    assert head.fit(1, 1) == {}


def test_numbers_that_are_not_finite_take_no_step():
    head = ReturnHead(ReturnHeadOptions(), 1, 1, 2, "cpu")
    before = copy.deepcopy(head.state_dict())
    nobody = torch.zeros(1, 2, dtype=torch.bool)
    head.advantages(torch.zeros(1, 2, 1), torch.full((1, 2), torch.nan), nobody, nobody, 0.5, 0.9)
    head.fit(1, 1)
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())


def test_a_phase_without_it_trains_nothing_of_it():
    place = {"schedule": "phases", "values": ["loss", BY_VALUE], "until": [1]}
    alg, env = distilled(place)
    before = copy.deepcopy(alg.heads.returns.state_dict())
    train(alg, env, 1)
    assert not KEYS & alg.diagnostics.scalars.keys()
    assert all(torch.equal(value, before[key]) for key, value in alg.heads.returns.state_dict().items())
    train(alg, env, 1)
    assert alg.diagnostics.scalars.keys() >= KEYS
    assert all(math.isfinite(alg.diagnostics.scalars[key]) for key in KEYS)
    assert any(not torch.equal(value, before[key]) for key, value in alg.heads.returns.state_dict().items())


# Checkpoints


def test_a_resumed_run_goes_on_as_if_nothing_had_happened():
    alg, env = distilled()
    train(alg, env)
    state, world = copy.deepcopy(alg.save()), copy.deepcopy(env)
    other, _ = distilled(seed=3)
    assert other.load(state, None, True)
    ends = []
    for algorithm, environment in ((alg, env), (other, world)):
        torch.manual_seed(7)
        train(algorithm, environment)
        ends.append((snapshot(algorithm) | algorithm.heads.returns.state_dict(), algorithm.diagnostics.scalars))
    assert all(torch.equal(value, ends[1][0][name]) for name, value in ends[0][0].items())
    assert {key: ends[0][1][key] for key in KEYS} == {key: ends[1][1][key] for key in KEYS}


def test_a_checkpoint_without_the_head_is_no_whole_one():
    alg, _ = distilled()
    plain, _ = distilled({"kind": "return"})
    assert not any("return_head" in key for key in plain.save())
    with pytest.raises(KeyError, match="return_head_state_dict"):
        alg.load(plain.save(), None, True)


def test_it_is_not_exported():
    axes = {"coef": 0.5, "place": BY_VALUE}
    node = {"class_name": "legged_cts.algorithms.distilled:Distillation", "teacher_fraction": None}
    cfg = method_cfg("cts", 4, {"algorithm": {**node, "distillation": axes, "return_head": {"hidden_dims": [16]}}})
    alg, env = build(cfg)
    train(alg, env, 1)
    info = {"proprioception": 2, "history_length": 3, "privileged": 4, "actions": 2}
    rebuilt = trained_algorithm({**alg.save(), "config": cfg, "env_info": info})
    obs, student = env.get_observations(), rebuilt.student_policy()
    alg.eval_mode()
    with torch.no_grad():
        assert torch.equal(student(obs), alg.student_policy()(obs))
    own = {id(parameter) for parameter in rebuilt.heads.returns.parameters()}
    assert not own & {id(parameter) for parameter in student.parameters()}


# Options


@pytest.mark.parametrize(
    ("place", "node", "words"),
    [
        ("return", {}, r"algorithm\.return_head goes with distillation\.place\.baseline: value"),
        (BY_VALUE, {"width": 3}, r"unknown key algorithm\.return_head\.width; allowed are: hidden_dims, learning_rate"),
        (BY_VALUE, {"hidden_dims": 3}, r"return_head\.hidden_dims must be a list of widths such as \[128, 64\]"),
        (BY_VALUE, {"learning_rate": -1}, r"return_head\.learning_rate must be a positive number, got -1"),
    ],
)
def test_wrong_options_name_the_field(place, node, words):
    with pytest.raises(ValueError, match=words):
        distilled(place, return_head=node)
