"""Faults of single worlds, of losses and of networks: each is met, counted and survived."""

from __future__ import annotations

import math

import pytest
import torch
from build import make_runner
from line_env import LineEnv

from legged_cts.training import rollback
from legged_cts.training.checkpoint import CheckpointError, load_checkpoint, read_plain
from legged_cts.training.faults import MAX_DUMPS, EnvironmentFault
from legged_cts.training.replay import load_fault
from legged_cts.training.runner import Ending, PolicyError

GRU = {"class_name": "legged_cts.models.recurrent:RecurrentEncoder", "cell": "gru", "hidden_size": 8}


class FaultyEnv(LineEnv):
    """Returns what ``plan`` says: step -> (what, worlds, value)."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: dict[int, tuple[str, list[int], float]] = {}
        self.received: list[torch.Tensor] = []
        self.given: list[torch.Tensor] = []

    def fault_state(self, world):
        return {"seed": 0, "before": {"x": self.x[world].clone()}, "physics": {}}

    def step(self, actions):
        self.received.append(actions.clone())
        obs, rewards, dones, extras = super().step(actions)
        what, worlds, value = self.plan.get(self.steps, ("", [], 0.0))
        if what == "obs":
            for group in obs.values():
                group[worlds] = value
        if what == "rewards":
            rewards[worlds] = value
        self.given.append(rewards)
        return obs, rewards, dones, extras


def broken(folder, plan, **options):
    """A runner whose environment follows a plan of faults."""
    runner = make_runner(folder, env=FaultyEnv, **options)
    runner.env.plan = plan
    return runner


def sound(runner) -> bool:
    """Whether everything that a training leaves behind is finite."""
    storage, state = runner.alg.storage, runner.alg.save()
    stored = [*storage.observations.values(), storage.rewards, storage.values, storage.returns, storage.actions]
    parts = [name for name in state if name.endswith("_state_dict") and "optimizer" not in name]
    networks = [value for name in parts for value in state[name].values()]
    return all(bool(value.isfinite().all()) for value in (*stored, *networks))


def counts(runner) -> dict[str, float]:
    """Counts in the last row of the metrics that are not zero."""
    row = runner.display.shown[-1][1]
    return {name.removeprefix("faults/"): row[name] for name in row if name.startswith("faults/") and row[name]}


def step_is_neutral(runner, step: int, world: int) -> None:
    """The stored transition ends an episode by time-out without a reward."""
    storage, alg = runner.alg.storage, runner.alg
    value = storage.values[step, world]
    assert storage.dones[step, world] == 1
    torch.testing.assert_close(storage.rewards[step, world], alg.gamma * value)
    torch.testing.assert_close(storage.returns[step, world], alg.gamma * value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e38])
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_world_with_bad_observations_is_quarantined_for_one_step(tmp_path, role, value):
    runner = broken(tmp_path, {})
    world = int(getattr(runner.alg.driver, f"{role}_ids")[-1])
    runner.env.plan = {2: ("obs", [world], value)}
    runner.learn(1)
    storage = runner.alg.storage
    assert sound(runner) and counts(runner) == {"obs": 1.0}
    # Before: the transition that led to the fault. Then: one with the observation of the first sound world.
    step_is_neutral(runner, 1, world)
    step_is_neutral(runner, 2, world)
    for name in ("proprioception", "privileged"):
        assert torch.equal(storage.observations[name][2, world], storage.observations[name][2, 0])
    # After: a new episode of its own, in which nothing is changed any more.
    assert not torch.equal(
        storage.observations["proprioception"][3, world], storage.observations["proprioception"][3, 0]
    )
    assert not storage.dones[3, world] and storage.rewards[3, world, 0] == runner.env.given[3][world]
    assert all(math.isfinite(value) for name, value in runner.display.shown[-1][1].items() if name.startswith("loss/"))


@pytest.mark.parametrize("value", [math.nan, -1e38])
def test_a_reward_that_is_not_finite_is_not_paid(tmp_path, value):
    runner = broken(tmp_path, {2: ("rewards", [3], value)})
    runner.learn(1)
    assert sound(runner) and counts(runner) == {"rewards": 1.0}
    step_is_neutral(runner, 1, 3)
    # Nobody knows what such a world is like; it is reset with the next step, which does not count either.
    step_is_neutral(runner, 2, 3)
    assert not runner.alg.storage.dones[3, 3] and runner.alg.storage.rewards[3, 3, 0] == runner.env.given[3][3]
    assert math.isfinite(runner.display.shown[-1][1]["loss/reward_teacher"])
    runner.learn(3)
    assert math.isfinite(runner.display.shown[-1][1]["student/return"])


def test_an_action_that_is_not_finite_is_replaced_by_zero_and_the_world_reset(tmp_path, monkeypatch):
    runner = broken(tmp_path, {})
    act, calls = runner.alg.act, []

    def once(obs):
        actions = act(obs)
        calls.append(obs)
        if len(calls) == 3:
            actions[3] = math.nan
        return actions

    monkeypatch.setattr(runner.alg, "act", once)
    runner.learn(1)
    assert sound(runner) and counts(runner) == {"actions": 1.0}
    assert runner.env.received[2][3] == 0.0 and (runner.env.received[2][[0, 1, 2, 4, 5, 6, 7]] != 0.0).all()
    step_is_neutral(runner, 2, 3)
    assert not runner.alg.storage.dones[3, 3]
    dump = read_plain(next((tmp_path / "faults").glob("*.pt")))
    assert dump["kind"] == "actions" and not dump["output"].isfinite().all() and dump["action"] == 0.0
    assert torch.equal(dump["observation"]["history"], calls[2]["history"][3])
    # Policy and storage saw another world instead, whose history began with that step.
    assert torch.equal(calls[3]["history"][3], calls[2]["history"][0, -1:].expand(2, 1))


@pytest.mark.parametrize("step", [0, 2])
def test_acting_anew_takes_back_what_the_student_remembered(step):
    runner = make_runner(None, student=GRU)
    alg, env, rollout = runner.alg, runner.env, runner.alg.student_rollout
    nobody = torch.zeros(8, dtype=torch.bool)
    with torch.inference_mode():
        for _ in range(step):
            obs, rewards, dones, extras = env.step(alg.act(env.get_observations()))
            alg.process_env_step(obs, rewards, dones, extras)
        began = dones > 0 if step else nobody
        obs = env.get_observations()
        alg.act(obs)
        once = rollout._state.clone(), rollout._first_state.clone(), alg.history._frames.clone()
        seen, _ = alg.act_anew(obs, nobody, began)
        assert all(map(torch.equal, once, (rollout._state, rollout._first_state, alg.history._frames)))
        assert torch.equal(seen["history"], obs["history"])
        # An episode that begins here has nothing to remember.
        new = ~nobody
        alg.act_anew(obs, new, began)
        fresh = make_runner(None, student=GRU).alg
        fresh.act(obs)
        assert torch.equal(rollout._state, fresh.student_rollout._state)
        assert not once[0].count_nonzero() == 0


@pytest.mark.parametrize("kind", ["obs", "rewards"])
@pytest.mark.parametrize("value", [1e15, -1e15, 1e7])
def test_a_finite_spike_is_a_fault_and_does_not_reach_the_normalisers(tmp_path, kind, value):
    runner = broken(tmp_path, {3: (kind, [1, 2], value)})
    runner.learn(2)
    assert counts(runner) == {kind: 2.0} and sound(runner)
    parts = [part for part in runner.alg.save().values() if isinstance(part, dict)]
    variances = [tensor for part in parts for name, tensor in part.items() if "normalizer._var" in str(name)]
    assert variances and all(float(variance.max()) < 1e4 for variance in variances)


def test_large_numbers_within_the_limit_are_no_fault(tmp_path):
    runner = broken(tmp_path, {3: ("rewards", [1, 2], 9e5)})
    runner.learn(1)
    assert "rewards" not in counts(runner)


def test_several_faults_at_once_and_in_a_row(tmp_path):
    plan = {step: ("obs", [1, 6], math.nan) for step in range(2, 9)}
    runner = broken(tmp_path, plan)
    runner.learn(3)
    assert sound(runner) and counts(runner) == {"obs": 14.0}


def test_without_the_check_the_policy_still_never_acts_on_what_is_not_finite(tmp_path):
    runner = broken(tmp_path, {2: ("obs", [3], math.nan)}, runner={"check_for_nan": False})
    runner.learn(2)
    assert sound(runner) and counts(runner) == {"actions": 1.0}


def test_if_no_world_is_sound_the_environment_is_named(tmp_path):
    runner = broken(tmp_path, {7: ("obs", list(range(8)), math.nan)})
    with pytest.raises(EnvironmentFault, match="all worlds.*iteration 1.*faults.*not the policy"):
        runner.learn(3)


def test_dumps_hold_what_a_replay_needs_and_are_bounded(tmp_path):
    runner = broken(tmp_path, {step: ("obs", [1, 2, 6], math.nan) for step in range(2, 13)})
    runner.learn(3)
    assert counts(runner) == {"obs": 33.0}
    dumps = sorted((tmp_path / "faults").glob("*.pt"), key=lambda path: int(path.stem.partition("_")[2]))
    assert len(dumps) == MAX_DUMPS and dumps[0].name == "0_0.pt" and dumps[-1].name.startswith("1_")
    dump = load_fault(dumps[0])
    assert (dump["kind"], dump["world"], dump["iteration"]) == ("obs", 1, 0)
    assert dump["config"] == runner.config and dump["env_info"] == {"robot": "line"}
    assert dump["action"].shape == (1,) and torch.equal(dump["action"], runner.env.received[1][1])
    assert dump["observation"]["history"].isfinite().all() and dump["observation_after"]["history"].isnan().all()
    assert dump["reward"] == runner.env.given[1][1] and dump["state"]["seed"] == 0
    # A resumed run does not get another twenty.
    again = broken(tmp_path, {2: ("obs", [1], math.nan)})
    again.load(str(tmp_path / "model_3.pt"))
    again.learn(1)
    assert counts(again) == {"obs": 34.0} and len(list((tmp_path / "faults").glob("*.pt"))) == MAX_DUMPS


def test_what_cannot_be_replayed_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no file"):
        load_fault(tmp_path / "0_0.pt")
    make_runner(tmp_path).learn(1)
    with pytest.raises(CheckpointError, match="no dump of a fault"):
        load_fault(tmp_path / "model_1.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": None}, "it lacks version"),
        ({"iteration": None}, "it lacks iteration"),
        ({"action": None}, "it lacks action"),
        ({"state": {"physics": {}, "before": {}}}, "state.seed: must be a whole number"),
        ({"state": {"seed": 1}}, "state: must hold seed, physics and before"),
        ({"state": {}}, "holds no state of a world"),
        ({"kind": "evil"}, "kind: must be one of simulation"),
        ({"action": 3.0}, "action: must be a row"),
        ({"world": -1}, "world: must be a whole number"),
        ({"config": []}, "config: must be a mapping"),
        ({"config": {"algorithm": {"class_name": "os:system"}}}, "algorithm.class_name 'os:system' is none of"),
    ],
)
def test_a_malformed_dump_is_one_line_that_names_the_entry(tmp_path, change, message):
    state = {"seed": 0, "physics": {}, "before": {}}
    sound = {"version": 1, "kind": "obs", "world": 0, "iteration": 3, "config": {}, "state": state}
    content = {**sound, "action": torch.zeros(1), **change}
    path = tmp_path / "0_0.pt"
    torch.save({**sound, "action": torch.zeros(1)}, path)
    assert load_fault(path)["iteration"] == 3
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    with pytest.raises(CheckpointError, match=message):
        load_fault(path)


def test_a_loss_that_is_not_finite_skips_its_update_alone(tmp_path, monkeypatch):
    runner = make_runner(tmp_path)
    losses, calls = runner.alg.losses, []

    def once(batch):
        result = losses(batch)
        calls.append(batch)
        if len(calls) == 2:
            result.total = result.total * math.nan
        return result

    monkeypatch.setattr(runner.alg, "losses", once)
    runner.learn(2)
    assert counts(runner) == {"skipped_updates": 1.0} and sound(runner)


def poison(runner):
    with torch.no_grad():
        next(runner.alg.get_policy().mlp.parameters()).fill_(math.nan)


def test_networks_that_are_not_finite_are_restored_once_and_then_an_error(tmp_path):
    runner = make_runner(tmp_path)
    runner.learn(2)
    rate = runner._rollback._copy["optimizer_state_dict"]["param_groups"][0]["lr"]
    poison(runner)
    runner.learn(1)
    assert sound(runner) and runner.current_learning_iteration == 3
    # The rate has been adapted since, by factors of 1.5 within one iteration of 20 updates.
    assert runner.alg.learning_rate != rate
    poison(runner)
    with pytest.raises(PolicyError, match=r"iteration 3.*crash_3\.pt.*learning_rate"):
        runner.learn(1)
    assert load_checkpoint(tmp_path / "crash_3.pt")["iter"] == 3
    assert runner.display.stopped


def test_networks_that_an_update_broke_are_restored_with_half_the_learning_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(rollback, "GRACE", 20)
    runner = make_runner(tmp_path)
    update = runner.alg.update
    failing = {2, 2 + rollback.GRACE}

    def breaking():
        result = update()
        if runner.current_learning_iteration in failing:
            poison(runner)
        return result

    monkeypatch.setattr(runner.alg, "update", breaking)
    first = runner.alg.save()["actor_state_dict"]
    first = {name: value.clone() for name, value in first.items()}
    runner.learn(3)
    # As they were at the start, with the rates halved; the student's encoder has an optimizer of its own.
    assert all(torch.equal(value, first[name]) for name, value in runner.alg.save()["actor_state_dict"].items())
    assert runner.alg.learning_rate == runner.alg.optimizer.param_groups[0]["lr"] == 0.5e-3
    assert runner.alg.student_optimizer.param_groups[0]["lr"] == 0.5e-3
    # A failure a long time later is forgiven again, one soon after it is not.
    assert runner.learn(rollback.GRACE) is Ending.DONE and sound(runner)
    assert runner.learn(1) is Ending.DONE
    failing.add(runner.current_learning_iteration)
    with pytest.raises(PolicyError):
        runner.learn(1)
