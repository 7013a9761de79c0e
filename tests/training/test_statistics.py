"""Statistics per role, by hand, and the score."""

import math

import pytest
import torch
from line_env import LineEnv

from legged_cts.training.statistics import RoleStatistics, student_score


def test_returns_lengths_and_falls_belong_to_their_roles():
    statistics = RoleStatistics(LineEnv(3), torch.tensor([True, False, False]), window=2)
    never = torch.zeros(3, dtype=torch.bool)
    statistics.after_step(torch.tensor([1.0, 10.0, 100.0]), torch.tensor([0, 0, 1]), {"time_outs": never})
    statistics.after_step(torch.tensor([2.0, 20.0, 200.0]), torch.tensor([1, 1, 0]), {"time_outs": ~never})
    got = statistics.summary()
    # Teacher: one episode of 1 + 2 that timed out. Students: 10 + 20 timed out after two steps, 100 fell after one.
    assert got["teacher/return"] == 3.0 and got["teacher/falls"] == 0.0 and got["teacher/episode_length_s"] == 2.0
    assert got["student/return"] == (30.0 + 100.0) / 2 and got["student/falls"] == 0.5
    assert got["student/episode_length_s"] == 1.5
    assert "student/lin_error" not in got and "student/terrain_level" not in got
    # The 200 of the running episode counts when that ends; the first iteration leaves the window after two more.
    statistics.after_step(torch.tensor([0.0, 0.0, 7.0]), torch.tensor([0, 0, 1]), {"time_outs": ~never})
    assert statistics.summary()["student/return"] == pytest.approx((30.0 + 100.0 + 207.0) / 3)
    last = statistics.summary()
    assert last["student/return"] == 207.0 and math.isnan(last["teacher/return"])


def test_a_role_without_environments_is_left_out():
    statistics = RoleStatistics(LineEnv(2), torch.zeros(2, dtype=torch.bool))
    statistics.after_step(torch.ones(2), torch.ones(2), {})
    got = statistics.summary()
    assert got["student/falls"] == 1.0 and not any(key.startswith("teacher") for key in got)


def test_score_weighs_tracking_falls_and_level():
    assert student_score({"student/tracking": 0.8, "student/falls": 0.25}) == pytest.approx(0.6)
    assert student_score({"student/tracking": 0.5, "student/falls": 0.0, "student/terrain_level": 3.0}) == 2.0
    assert math.isnan(student_score({"student/tracking": 0.8}))
    assert student_score({"student/return": -4.0, "student/falls": 0.5}) == -4.0
