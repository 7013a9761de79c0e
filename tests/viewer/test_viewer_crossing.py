"""Courses of the benchmark, with a robot that is told to go along them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legged_cts.terrain.courses import COURSES, WAY, limit
from legged_cts.viewer.app import App
from legged_cts.viewer.crossing import Crossing
from legged_cts.viewer.player import Player
from legged_cts.viewer.session import GROUNDS, MujocoSession, World

LIMITS = (-1.0, 1.0)


def test_the_end_in_time_is_an_arrival_forwards_and_backwards() -> None:
    one = Crossing()
    assert not one.follow(WAY - 0.01, 0.5, 1.0)
    assert one.follow(WAY, 0.5, 1.0) and (one.arrived, one.late) == (1, 0)
    one.begin()
    assert not one.follow(WAY, -0.5, 1.0)
    assert one.follow(-WAY, -0.5, 1.0) and one.arrived == 2


def test_who_is_too_slow_is_late_and_who_is_told_to_stand_is_not_judged() -> None:
    one = Crossing()
    assert not one.follow(0.0, 0.0, 1e6)
    assert not one.follow(1.0, 0.5, limit(0.5) - 0.1)
    assert one.follow(1.0, 0.5, 0.2) and (one.arrived, one.late) == (0, 1)


def test_it_turns_back_to_its_way_unless_somebody_steers() -> None:
    steer = Crossing().steer
    np.testing.assert_allclose(steer(np.array([0.5, 0.1, 0.0]), 0.4, LIMITS), (0.5, 0.1, -0.2))
    np.testing.assert_allclose(steer(np.array([0.5, 0.0, 0.7]), 0.4, LIMITS), (0.5, 0.0, 0.7))


def test_all_courses_are_offered_and_are_those_of_the_benchmark(standing_policy: Path) -> None:
    assert set(COURSES) <= set(GROUNDS)
    session = MujocoSession(standing_policy, world=World("stairs_up_10"), seed=3)
    np.testing.assert_array_equal(session._robot.terrain.heights, COURSES["stairs_up_10"].heights(3).heights)  # type: ignore[union-attr]
    assert session.world.is_course and not session.world.graded
    assert not World("stairs_up").is_course and not World("flat").is_course


def test_a_robot_that_arrived_begins_again_at_the_start(standing_policy: Path) -> None:
    player = Player(MujocoSession(standing_policy, world=World("gravel_5")))
    player.session._robot.reset(place=(WAY + 0.1, 0.0))  # type: ignore[attr-defined]
    player.step(np.array([0.5, 0.0, 0.0]))
    assert player.crossing.arrived == 1 and player.fresh
    assert player.state.base_pos[0] == pytest.approx(0.0)
    player.begin()
    assert player.crossing.arrived == 0


def test_the_page_sends_the_robot_along_and_says_how_it_fares(standing_policy: Path) -> None:
    app = App(MujocoSession(standing_policy), port=0)
    try:
        app._world.terrain.value = "stairs_down_5"
        app.run(seconds=0.3)
        assert app._session.world.terrain == "stairs_down_5" and app._world.difficulty.disabled
        assert app.command[0] == pytest.approx(0.5)
        assert "**stairs_down_5**\n\n0 arrived, 0 late; " in app.readout()
        app._player.crossing.arrived = 2
        assert "\n\n2 arrived, 0 late; " in app.readout()
        app._world.terrain.value = "flat"
        app.run(seconds=0.3)
        assert "arrived" not in app.readout()
    finally:
        app.close()
