"""Statistics per role, by hand, and the score."""

import math
from types import SimpleNamespace

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


def test_gaps_are_teacher_minus_student():
    statistics = RoleStatistics(LineEnv(3), torch.tensor([True, False, False]))
    never = torch.zeros(3, dtype=torch.bool)
    statistics.after_step(torch.tensor([5.0, 1.0, 2.0]), torch.tensor([0, 0, 0]), {"time_outs": never})
    statistics.after_step(torch.tensor([7.0, 3.0, 4.0]), torch.tensor([1, 1, 1]), {"time_outs": ~never})
    got = statistics.summary()
    assert got["teacher/reward"] == 6.0 and got["student/reward"] == 2.5
    assert got["gap/reward"] == 3.5
    assert got["gap/return"] == 12.0 - 5.0  # students' returns are 4 and 6
    assert "gap/tracking" not in got
    alone = RoleStatistics(LineEnv(2), torch.ones(2, dtype=torch.bool))
    alone.after_step(torch.ones(2), torch.ones(2), {})
    assert not any(key.startswith("gap") for key in alone.summary())


def rewarding_env(terms: list[list[float]]) -> LineEnv:
    """Two reward terms, a step of 0.5 s, and robots that stand; row i of ``terms`` is what environment i earns."""
    env = LineEnv(len(terms))
    velocity = SimpleNamespace(time_left=torch.zeros(env.num_envs), cfg=SimpleNamespace(resampling_time_range=(5.0,)))
    env.step_dt, env.command = 0.5, torch.zeros(env.num_envs, 3)
    env.command_manager = SimpleNamespace(get_term=lambda _: velocity)
    env.termination_manager = SimpleNamespace(active_terms=[], num_envs=env.num_envs, device="cpu")
    env.reward_manager = SimpleNamespace(
        active_terms=["track_lin_vel", "power"],
        get_term_cfg=lambda name: SimpleNamespace(weight={"track_lin_vel": 2.0, "power": -1.0}[name]),
        _step_reward=torch.tensor(terms),
    )
    still = torch.zeros(env.num_envs, 3)
    upright = torch.tensor([[0.0, 0.0, 0.0, 1.0]]).expand(env.num_envs, 4)
    env.state = SimpleNamespace(root_quat_w=upright, lin_vel_b=still, ang_vel_b=still)
    return env


def test_terms_of_the_reward_are_means_per_step_of_each_role_and_sum_up_to_the_reward():
    terms = [[1.0, -0.5], [0.5, -1.0], [1.5, 0.0]]  # per second, weighted
    env = rewarding_env(terms)
    statistics = RoleStatistics(env, torch.tensor([True, False, False]), window=2)

    def step() -> None:
        statistics.before_step()
        statistics.after_step(0.5 * env.reward_manager._step_reward.sum(dim=1), torch.zeros(3), {})

    step()
    env.reward_manager._step_reward = torch.tensor(terms) * 3.0
    step()
    got = statistics.summary()
    # A teacher earns 0.5 s * 1 and 0.5 s * 3; students on average 0.5 s * 1 and 0.5 s * 3 too, and lose 0.25 and 0.75.
    assert (got["teacher/reward/track_lin_vel"], got["teacher/reward/power"]) == (1.0, -0.5)
    assert (got["student/reward/track_lin_vel"], got["student/reward/power"]) == (1.0, -0.5)
    assert got["teacher/reward"] == 0.5 and got["student/reward"] == 0.5
    env.reward_manager._step_reward = torch.tensor([[math.nan, 0.0], [0.0, 0.0], [4.0, 0.0]])  # a world that blew up
    step()
    got = statistics.summary()
    assert got["teacher/reward/track_lin_vel"] == pytest.approx(2.0 / 3) and "teacher/reward/alive" not in got
    assert got["student/reward/track_lin_vel"] == pytest.approx((0.25 + 0.75 + 0.75 + 2.25 + 0.0 + 2.0) / 6)


def test_the_share_of_the_tracking_reward_goes_by_what_it_weighs_now():
    """A stage that doubled a weight showed 0.9 of the possible for 0.7, and no later score was as good again."""
    env = rewarding_env([[1.0, 0.0]])
    statistics = RoleStatistics(env, torch.tensor([False]), window=1)
    for weight in (2.0, 4.0):
        env.reward_manager.get_term_cfg = lambda name, weight=weight: SimpleNamespace(weight=weight)
        env.reward_manager._step_reward = torch.tensor([[0.75 * weight, 0.0]])
        statistics.before_step()
        statistics.after_step(torch.ones(1), torch.zeros(1), {})
        assert statistics.summary()["student/tracking"] == 0.75


def test_a_window_of_older_statistics_without_terms_is_left_out():
    env = rewarding_env([[1.0, 0.0]])
    statistics = RoleStatistics(env, torch.tensor([False]))
    statistics.load_state_dict({"window": [[[0.0, 0.0]] * 10]})
    assert math.isnan(statistics.summary()["student/reward/power"])


def terrain_env(teachers: list[bool]) -> LineEnv:
    """Three levels, four columns: one of slopes, three of stairs; environment i is in column i of 4."""
    env = LineEnv(len(teachers))
    generator = SimpleNamespace(
        sub_terrains={"slopes": SimpleNamespace(proportion=0.25), "stairs_up": SimpleNamespace(proportion=0.75)},
        num_cols=4,
    )
    env.scene = SimpleNamespace(
        terrain=SimpleNamespace(
            terrain_origins=torch.zeros(3, 4, 3),
            terrain_levels=torch.tensor([0, 0, 2, 2, 2, 0]),
            terrain_types=torch.tensor([0, 1, 2, 3, 0, 1]),
            cfg=SimpleNamespace(terrain_type="generator", terrain_generator=generator),
        )
    )
    return env


def test_latent_errors_are_grouped_by_the_students_level_and_kind():
    # Students are 0 (slopes, level 0), 2 (stairs, 2), 4 (slopes, 2), 5 (stairs, 0).
    teachers = [False, True, False, True, False, False]
    env = terrain_env(teachers)
    statistics = RoleStatistics(env, torch.tensor(teachers))
    got = statistics.by_terrain({"latent/error": torch.tensor([1.0, 2.0, 4.0, 8.0]), "latent/cosine": None})
    assert math.isnan(got.pop("latent/error/level_1"))
    assert got == {
        "latent/error/level_0": 4.5, "latent/error/level_2": 3.0,
        "latent/error/slopes": 2.5, "latent/error/stairs_up": 5.0,
    }  # fmt: skip
    env.scene.terrain.terrain_levels[2] = 1  # promoted
    assert statistics.by_terrain({"x": torch.tensor([1.0, 2.0, 4.0, 8.0])})["x/level_1"] == 2.0
    # One bad environment does not hide the others.
    bad = statistics.by_terrain({"x": torch.tensor([1.0, 2.0, 4.0, math.nan])})
    assert bad["x/level_0"] == 1.0 and bad["x/stairs_up"] == 2.0


def test_terrain_levels_of_students_by_kind():
    teachers = [False, True, False, True, False, False]
    env = terrain_env(teachers)
    env.scene.terrain.terrain_levels[5] = 1
    got = RoleStatistics(env, torch.tensor(teachers)).summary()
    assert got["student/terrain_level"] == 1.25
    assert got["student/terrain_level/slopes"] == 1.0 and got["student/terrain_level/stairs_up"] == 1.5


def test_climbs_are_means_per_ended_episode_by_kind_and_by_level():
    env = LineEnv(2)
    columns = ("episodes", "climb", "passed")
    env.levels = SimpleNamespace(names=["slopes", "stairs_up"], columns=columns, climbs=torch.zeros(2, 2, 3))
    statistics = RoleStatistics(env, torch.tensor([True, False]), window=2)
    env.levels.climbs[0, 1] = torch.tensor([1.0, 0.5, 1.0])
    env.levels.climbs[1, 1] = torch.tensor([3.0, 1.0, 0.0])
    got = statistics.summary()
    assert got["student/climb"] == 0.375 and got["student/passed"] == 0.25
    assert got["student/climb/slopes"] == 0.5 and got["student/climb/stairs_up"] == pytest.approx(1 / 3)
    assert got["student/passed/level_1"] == 0.25 and math.isnan(got["student/passed/level_0"])
    assert not env.levels.climbs.any(), "the next iteration counts anew"
    kept = RoleStatistics(env, torch.tensor([True, False]), window=2)
    kept.load_state_dict(statistics.state_dict())
    assert kept.summary()["student/climb"] == 0.375
    statistics.summary()
    assert math.isnan(statistics.summary()["student/climb"]), "the first iteration has left the window"


def test_a_plane_has_no_levels():
    assert RoleStatistics(LineEnv(2), torch.tensor([True, False])).by_terrain({"x": torch.ones(1)}) == {}


def test_score_weighs_tracking_falls_and_level():
    assert student_score({"student/tracking": 0.8, "student/falls": 0.25}) == pytest.approx(0.6)
    assert student_score({"student/tracking": 0.5, "student/falls": 0.0, "student/terrain_level": 3.0}) == 2.0
    assert math.isnan(student_score({"student/tracking": 0.8}))
    assert student_score({"student/return": -4.0, "student/falls": 0.5}) == -4.0
