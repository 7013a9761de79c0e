"""What is kept for the plots, and what the plots show of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import viser

from legged_cts.deploy.mujoco_robot import build_model
from legged_cts.deploy.policy_file import policy_file
from legged_cts.robots.spec import load_robot
from legged_cts.viewer.marks import Marks, arrow_points
from legged_cts.viewer.plots import REDRAWN, SAMPLES, SECONDS, Plots
from legged_cts.viewer.session import MujocoSession, Signals
from legged_cts.viewer.signals import Rolling, legs


@pytest.fixture(scope="module")
def server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


def test_the_newest_rows_are_kept_oldest_first() -> None:
    rolling = Rolling(3, 2)
    assert rolling.columns.shape == (2, 0)
    seen = []
    for number in range(20):
        rolling.append(np.array([number, -number]))
        seen.append(number)
        np.testing.assert_array_equal(rolling.columns, [seen[-3:], [-value for value in seen[-3:]]])
    rolling.clear()
    rolling.append(np.array([5.0, 6.0]))
    np.testing.assert_array_equal(rolling.columns, [[5.0], [6.0]])


@pytest.mark.parametrize(
    ("robot", "foot", "joints"),
    [
        ("go2", "RL_foot", ["RL_hip_joint", "RL_thigh_joint", "RL_calf_joint"]),
        ("tron1", "foot_L_Link", ["abad_L_Joint", "hip_L_Joint", "knee_L_Joint"]),
        (
            "g1",
            "right_foot",
            [
                f"right_{name}_joint"
                for name in ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
            ],
        ),
    ],
)
def test_every_leg_has_its_joints_from_the_base_down(robot: str, foot: str, joints: list[str]) -> None:
    spec = load_robot(robot)
    found = legs(spec, build_model(spec, 0.005, None, 0.8))
    assert tuple(found) == spec.feet
    assert [spec.joints[joint] for joint in found[foot]] == joints


def column(plots: Plots, title: str, series: int) -> np.ndarray:
    (plot,) = [plot.handle for plot in (*plots._plots, *plots._angles) if plot.handle.title == title]
    return plot.data[series]


def test_the_plots_show_what_was_measured(server: viser.ViserServer) -> None:
    session, plots = MujocoSession(policy_file("go2_flat")), Plots(server, lambda job: job())
    plots.build(session)
    contact = np.array([True, False, True, False])
    angles = np.arange(12) / 10.0
    plots.show(True)
    for step in range(101):
        # A torque that is high for one control period alone is seen, too.
        share = np.full(12, 0.1)
        share[4] = 0.9 if step == 99 else 0.2
        command, velocity = np.array([0.5, 0.0, -0.3]), np.array([0.4, 0.01, step / 100])
        plots.take(0.02 * step, command, velocity, Signals(angles, share, contact))
    plots.draw(10.0)
    assert len(column(plots, "v_x [m/s]", 0)) == len(column(plots, "v_x [m/s]", 1)) == 2 * SAMPLES / 1 - 6
    assert column(plots, "v_x [m/s]", 0)[-1] == 0.0
    np.testing.assert_allclose(column(plots, "v_x [m/s]", 1), 0.5)
    np.testing.assert_allclose(column(plots, "v_x [m/s]", 2), 0.4)
    np.testing.assert_allclose(np.diff(column(plots, "yaw rate [rad/s]", 2)), 0.03, atol=1e-9)
    largest = column(plots, "torque [share of the limit]", 1)
    assert largest[-1] == pytest.approx(0.9) and largest[0] == pytest.approx(0.2)
    assert [column(plots, "feet on the ground", 1 + foot)[-1] for foot in range(4)] == [0.7, 1.0, 2.7, 3.0]
    np.testing.assert_allclose(column(plots, "FL_calf [rad]", 1), 0.2)


def test_another_leg_shows_its_own_joints(server: viser.ViserServer) -> None:
    session, plots = MujocoSession(policy_file("go2_flat")), Plots(server, lambda job: job())
    plots.build(session)
    assert plots._leg is not None
    plots._leg.value = "RR_foot"
    titles = [plot.handle.title for plot in plots._angles]
    assert titles == ["RR_hip [rad]", "RR_thigh [rad]", "RR_calf [rad]"]
    plots._leg.value = "tail"
    plots.show(True)
    for now in (0.0, 0.1, 0.2):
        plots.take(now, np.zeros(3), np.zeros(3), session.signals())
    plots.draw(10.0)
    assert len(column(plots, "RR_calf [rad]", 1)) == 3


def test_pictures_are_few_and_end_with_the_window(server: viser.ViserServer) -> None:
    session, plots = MujocoSession(policy_file("go2_flat")), Plots(server, lambda job: job())
    plots.build(session)
    signals = session.signals()

    def take(first: float, last: float) -> None:
        for now in np.arange(first, last, 0.02):
            plots.take(float(now), np.zeros(3), np.zeros(3), signals)

    take(0.0, 3.0)
    plots.draw(1.0)
    assert len(column(plots, "v_x [m/s]", 0)) == 2  # nobody asked for them
    plots.show(True)
    take(3.0, 4.0)
    plots.draw(2.0)
    seen = column(plots, "v_x [m/s]", 0)
    take(4.0, 20.0)
    plots.draw(2.0 + 0.9 * REDRAWN)
    assert column(plots, "v_x [m/s]", 0) is seen or len(column(plots, "v_x [m/s]", 0)) == len(seen)
    plots.draw(2.0 + 1.1 * REDRAWN)
    time = column(plots, "v_x [m/s]", 0)
    assert len(time) == SECONDS * SAMPLES and time[0] == pytest.approx(-SECONDS, abs=2 / SAMPLES)


def test_arrows_say_where_to_and_how_fast() -> None:
    np.testing.assert_allclose(arrow_points(np.array([0.8, -0.4, 0.0]), 0.1), [[(0, 0, 0.1), (0.4, -0.2, 0.1)]])
    np.testing.assert_allclose(arrow_points(np.array([0.0, 0.0, -1.0])), [[(0.3, 0, 0), (0.3, -0.5, 0)]])
    assert arrow_points(np.array([0.02, 0.02, 0.02])).shape == (0, 2, 3)


def test_the_trail_grows_where_the_robot_goes(server: viser.ViserServer) -> None:
    marks = Marks(server, "trail_test")
    marks.trace(np.array([0.0, 0.0, 0.0]))
    marks.trace(np.array([0.01, 0.0, 0.0]))  # it stands
    assert not marks._line.visible
    marks.trace(np.array([0.1, 0.0, 0.2]))
    np.testing.assert_allclose(marks._line.points, [[(0.0, 0.0, 0.01), (0.1, 0.0, 0.21)]], atol=1e-6)
    for step in range(1000):
        marks.trace(np.array([0.1 * step, 1.0, 0.0]))
    assert len(marks._line.points) == 399
    marks.forget()
    assert not marks._line.visible
