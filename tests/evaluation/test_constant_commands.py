"""Constant commands in the training simulator: who holds which, what a fall hides, and that nothing disturbs them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from legged_cts.deploy import response as plain
from legged_cts.evaluation.response import responses

RANGES = {"lin_vel_x": (-1.0, 1.0), "lin_vel_y": (-0.5, 0.5), "ang_vel_z": (-1.0, 1.0)}
PUSH = {"lin_vel": 0.4, "ang_vel": 0.2}


class Walkers:
    """Robots that do at once what they are told; one falls, and steps on in place of its successor."""

    def __init__(self, number: int, falls: dict[int, int]) -> None:
        self.num_envs, self.device, self.step_dt = number, "cpu", 0.5
        self.cfg = SimpleNamespace(episode_length_s=3.0)
        self.push = dict(PUSH)
        self.lengths: set[float] = set()
        self.pushes: set[float] = set()
        self._falls, self._step = falls, 0
        standing = torch.ones(number, dtype=torch.bool)
        self.term = SimpleNamespace(
            vel_command_b=torch.zeros(number, 3), time_left=torch.zeros(number), is_standing_env=standing
        )
        self.command_manager = SimpleNamespace(get_term=lambda _: self.term)
        self.event_manager = SimpleNamespace(
            active_terms={"interval": ["push"]}, get_term_cfg=lambda _: SimpleNamespace(params=self.push)
        )
        self.termination_manager = SimpleNamespace(terminated=torch.zeros(number, dtype=torch.bool))
        feet = torch.tensor([[[0.2, 0.1, 0.0], [0.2, -0.1, 0.0]]]).repeat(number, 1, 1)
        self.state = SimpleNamespace(
            root_quat_w=torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(number, 1),
            root_pos_w=torch.zeros(number, 3), lin_vel_b=torch.zeros(number, 3), ang_vel_b=torch.zeros(number, 3),
            yaw=torch.zeros(number), foot_pos_w=feet, foot_contact=torch.ones(number, 2, dtype=torch.bool),
        )  # fmt: skip

    @property
    def unwrapped(self) -> Walkers:
        return self

    def seed(self, seed: int) -> None:
        self.seeded = seed

    def reset(self) -> tuple[torch.Tensor, dict]:
        self._step = 0
        self.state.root_pos_w.zero_()
        return torch.zeros(self.num_envs, 1), {}

    def step(self, actions: torch.Tensor) -> tuple[Any, ...]:
        self.lengths.add(self.cfg.episode_length_s)
        self.pushes.add(self.push["lin_vel"])
        told = torch.where(self.term.is_standing_env[:, None], 0.0, self.term.vel_command_b)
        self.state.lin_vel_b[:, :2], self.state.ang_vel_b[:, 2] = told[:, :2], told[:, 2]
        self.state.root_pos_w[:, :2] += told[:, :2] * self.step_dt
        self.termination_manager.terminated = torch.tensor(
            [self._falls.get(i) == self._step for i in range(self.num_envs)]
        )
        self._step += 1
        # As Isaac Lab does, what a new episode brings is there when the step returns.
        self.term.is_standing_env |= self.termination_manager.terminated
        return torch.zeros(self.num_envs, 1), None, self.termination_manager.terminated.long(), {}


class Still:
    def __call__(self, obs: Any) -> torch.Tensor:
        return torch.zeros(len(obs), 2)

    def reset(self, dones: torch.Tensor | None = None) -> None:
        pass


@pytest.mark.parametrize("number", [4, 13, 27])
def test_every_command_is_held_whatever_the_number_of_robots(number: int) -> None:
    env, steps = Walkers(number, {}), []
    found = responses(env, Still(), RANGES, 5, lambda done, total: steps.append((done, total)))
    np.testing.assert_allclose([answer.command for answer in found], plain.probes(RANGES))
    for answer in found:
        np.testing.assert_allclose(answer.achieved, answer.command, atol=1e-6)
        assert answer.fell == 0.0 and answer.duty.tolist() == [1.0, 1.0]
    assert found[4].drift == pytest.approx(1.0 * 7 / 8) and found[0].drift == 0.0
    assert steps[-1][0] <= steps[-1][1]
    # Meanwhile nobody pushed, and no episode could end by time.
    assert env.pushes == {0.0} and min(env.lengths) > 100.0
    assert env.push == PUSH and env.cfg.episode_length_s == 3.0


def test_a_fall_counts_until_the_command_ends() -> None:
    # Settling takes 4 steps, a moving command 8 more: the fall of robot 14 at its step 12 is after its end.
    found = responses(Walkers(26, {1: 3, 14: 12, 2: 5, 15: 5}), Still(), RANGES, 0)
    assert [answer.fell for answer in found[:4]] == [0.0, 0.5, 1.0, 0.0]
    assert np.isnan(found[2].achieved).all() and found[1].achieved[0] == pytest.approx(0.1)
