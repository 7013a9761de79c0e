"""Histories kept as frames give the same windows as a stack of histories."""

from __future__ import annotations

import pytest
import torch
from builders import STEPS, make_cts, rollout
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_env import DriftEnv

from legged_cts.algorithms.history_buffer import HistoryBuffer


class Stack:
    """An environment's histories [N, H, n], with the reset rule spelt out."""

    def __init__(self, num_envs: int, length: int, features: int, rule: str) -> None:
        self.rule = rule
        self.history = torch.zeros(num_envs, length, features)
        self.push(torch.ones(num_envs, dtype=torch.bool))

    def push(self, starts: torch.Tensor) -> None:
        frame = torch.randn(len(self.history), self.history.shape[-1])
        for i in range(len(frame)):
            if starts[i]:
                self.history[i] = frame[i] if self.rule == "backfill" else 0.0
            self.history[i] = torch.cat([self.history[i, 1:], frame[i : i + 1]])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    num_envs=st.integers(1, 5),
    length=st.integers(1, 5),
    steps=st.integers(1, 8),
    rule=st.sampled_from(["backfill", "zero"]),
    chance=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
)
def test_windows_equal_the_stored_stack(seed, num_envs, length, steps, rule, chance):
    """Over three rollouts, with resets at random, on the boundary of rollouts too."""
    torch.manual_seed(seed)
    ids = torch.randperm(num_envs)[: int(torch.randint(1, num_envs + 1, ()))].sort().values
    buffer = HistoryBuffer(steps, num_envs, ids, (length, 2), rule)
    environment = Stack(num_envs, length, 2, rule)
    ended = torch.zeros(num_envs, dtype=torch.bool)
    for _ in range(3):
        stack, starts = [], []
        for step in range(steps):
            buffer.record(step, environment.history)
            stack.append(environment.history.clone())
            starts.append(ended & (step > 0))
            ended = torch.rand(num_envs) < chance
            buffer.restart(ended.long())
            environment.push(ended)
        index = (torch.arange(steps).unsqueeze(1) * num_envs + ids).flatten()
        order = torch.randperm(len(index))
        expected = torch.stack(stack)[:, ids].flatten(0, 1)
        assert torch.equal(buffer.at(index[order]), expected[order])
        frames, begins = buffer.sequences(ids)
        assert torch.equal(frames, torch.stack(stack)[:, ids, -1])
        assert torch.equal(begins, torch.stack(starts)[:, ids])
    assert buffer.columns(ids).tolist() == list(range(len(ids)))


def test_memory_is_that_of_the_frames():
    steps, length, features, students = 24, 5, 45, 10
    buffer = HistoryBuffer(steps, 40, torch.arange(students), (length, features))
    assert buffer.nbytes == students * (4 * (steps + length - 1) * features + 8 * steps)


class ZeroedDriftEnv(DriftEnv):
    """Its histories are zero before the first frame of an episode."""

    def _reset(self, ids: torch.Tensor) -> None:
        super()._reset(ids)
        self._history[ids, :-1] = 0.0


class NewestFirstDriftEnv(DriftEnv):
    """Its histories run from the newest frame to the oldest."""

    def get_observations(self):
        obs = super().get_observations()
        obs["history"] = obs["history"].flip(1)
        return obs


class NoisyFrameDriftEnv(DriftEnv):
    """Its history does not end with the proprioception of the same step."""

    def get_observations(self):
        obs = super().get_observations()
        obs["proprioception"] = obs["proprioception"] + torch.randn_like(obs["proprioception"])
        return obs


def train(env_class: type[DriftEnv], rule: str) -> None:
    alg, _ = make_cts(history_reset=rule)
    env = env_class(16)
    env.episode_length_buf[:] = torch.arange(16) % 7  # so that episodes end inside rollouts
    for _ in range(2):
        rollout(alg, env)
        alg.update()


def test_the_other_reset_rule_is_named():
    train(DriftEnv, "backfill")
    train(ZeroedDriftEnv, "zero")
    train(NoisyFrameDriftEnv, "backfill")
    with pytest.raises(ValueError, match="group 'history' by the rule 'zero'; set algorithm.history_reset to 'zero'"):
        train(ZeroedDriftEnv, "backfill")
    with pytest.raises(ValueError, match="set algorithm.history_reset to 'backfill'"):
        train(DriftEnv, "zero")


def test_a_history_that_is_no_window_is_named():
    with pytest.raises(ValueError, match="group 'history' .* is not a window .* algorithm.history_reset"):
        train(NewestFirstDriftEnv, "backfill")


def test_the_check_goes_on_until_an_episode_has_started():
    """The first rollout ends before the first episode does."""
    alg, _ = make_cts(history_reset="backfill")
    env = ZeroedDriftEnv(16, episode=STEPS + 5)
    alg.history.record(0, env.get_observations()["history"])
    env._reset(torch.arange(16))
    env._history[:] = 1.0  # a window whose past is known, so that the rules agree until a reset
    rollout(alg, env)
    alg.update()
    with pytest.raises(ValueError, match="algorithm.history_reset"):
        rollout(alg, env)
