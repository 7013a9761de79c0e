"""The browser viewer serves on this machine alone, and its controls work."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from legged_cts.deploy.policy_file import policy_file
from legged_cts.viewer import choices
from legged_cts.viewer.app import App
from legged_cts.viewer.session import MujocoSession, World


@pytest.fixture(scope="module")
def app(standing_policy: Path) -> Iterator[App]:
    app = App(MujocoSession(standing_policy), port=0)
    yield app
    app.close()


def listening(port: int) -> set[str]:
    """Addresses which something listens on at this port, as the kernel writes them."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def test_the_page_is_served_to_this_machine_alone(app: App) -> None:
    assert app.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(app.url, timeout=10) as reply:
        assert reply.status == 200
        assert b"<html" in reply.read().lower()
    # 127.0.0.1 in the kernel's byte order.
    assert listening(int(app.url.rpartition(":")[2])) == {"0100007F"}


def test_sliders_set_the_command_within_the_training_ranges(app: App) -> None:
    app.set_command(np.array([0.4, -9.0, 0.25]))
    np.testing.assert_allclose(app.command, (0.4, -0.5, 0.25))
    app.run(seconds=0.3)
    history = app._session._policy.history  # type: ignore[attr-defined]
    np.testing.assert_allclose(history[-1, 6:9], (0.4, -0.5, 0.25), atol=1e-6)
    assert "| command | +0.40 | -0.50 | +0.25 |  |" in app.readout()
    app.set_command(np.zeros(3))
    np.testing.assert_array_equal(app.command, np.zeros(3))


def test_pause_holds_the_robot_and_reset_puts_it_back(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    session = app._session
    app._timing.pause.value = True
    app.run(seconds=0.1)
    drawn: list[int] = []
    monkeypatch.setattr(app._stage.figures[0], "draw", lambda: drawn.append(1))
    app.run(seconds=0.2)
    # A page that shows what stands still has nothing to do, until it shall show it otherwise.
    assert drawn == []
    app._apply_view()
    app.run(seconds=0.1)
    assert drawn == [1]
    monkeypatch.undo()
    app._jobs.put(lambda: app._push(90.0))
    before = session.state()
    app.run(seconds=0.1)
    np.testing.assert_array_equal(session.state().qpos, before.qpos)
    assert "paused" in app.readout()
    app._timing.pause.value = False
    app.run(seconds=0.3)
    assert np.abs(session.state().qpos - before.qpos).max() > 1e-3
    app._timing.pause.value = True
    app._jobs.put(app._reset)
    app.run(seconds=0.1)
    np.testing.assert_allclose(session.state().base_pos, (0.0, 0.0, session.spec.nominal_height))
    app._timing.pause.value = False


def test_changing_the_terrain_draws_the_new_ground(app: App) -> None:
    app._world.difficulty.value = 0.2
    app._world.terrain.value = "stairs_down"
    app.run(seconds=0.2)
    assert (app._session.world.terrain, app._session.world.difficulty) == ("stairs_down", 0.2)
    assert app._stage.scene._model is app._session.model
    steep, ground = app._session.model, app._stage.scene._ground_nodes[0].vertices
    app._world.difficulty.value = 0.6
    app.run(seconds=0.2)
    assert app._session.model is not steep
    assert np.ptp(app._stage.scene._ground_nodes[0].vertices[:, 2]) > 1.5 * np.ptp(ground[:, 2])
    app._world.terrain.value = "flat"
    app.run(seconds=0.2)
    assert app._session.world.terrain == "flat" and app._world.difficulty.disabled


def test_a_fallen_robot_lies_for_a_while_and_starts_anew(app: App) -> None:
    player = app._player
    player.reset()
    falls, state = player.falls, app._session.state()
    lying = type(state)(state.qpos, state.base_pos, state.velocity, fallen=True)
    for _ in range(10):
        player.follow(lying, 0.1)
    # Up for a moment is no second fall.
    player.follow(state, 0.02)
    player.follow(lying, 0.1)
    assert player.falls == falls + 1
    assert player.lying > 0.9
    for _ in range(10):
        player.follow(lying, 0.1)
        if player.lying == 0.0:  # it was set upright
            break
    assert player.lying == 0.0 and player.falls == falls + 1
    # A flicker is one fall, however long it goes on; a robot that stood up may fall anew.
    for _ in range(6):
        player.follow(lying, 0.02)
        player.follow(state, 0.2)
    assert player.falls == falls + 2
    for _ in range(6):
        player.follow(state, 0.2)
    player.follow(lying, 0.02)
    assert player.falls == falls + 3


def test_friction_and_payload_change_without_a_fresh_start(app: App) -> None:
    app.run(seconds=0.2)
    model, before = app._session.model, app._session.state().base_pos
    app._world.friction.value, app._world.payload.value = 0.4, 3.0
    app.run(seconds=0.1)
    assert app._session.model is model
    assert app._session.world == World("flat", 0.6, 0.4, 3.0)
    assert np.abs(app._session.state().base_pos - before).max() < 0.1
    app._world.friction.value, app._world.payload.value = 0.8, 0.0
    app.run(seconds=0.1)


def test_a_push_goes_the_way_that_was_asked_for_seen_from_the_robot(app: App) -> None:
    session = app._session
    app._player.reset()
    session._robot.reset(yaw=1.0)  # type: ignore[attr-defined]
    app._player.state = session.state()
    app._world.push.value = 0.6
    for degrees, expected in ((0.0, (0.6, 0.0)), (90.0, (0.0, 0.6)), (-90.0, (0.0, -0.6))):
        before = session.state().velocity
        app._push(degrees)
        np.testing.assert_allclose(session.state().velocity[:2] - before[:2], expected, atol=1e-9)
    app._player.reset()


def test_single_steps_and_slow_motion(app: App) -> None:
    app._timing.pause.value = True
    time = app._time
    for _ in range(3):
        app._jobs.put(app._single_step)
    app.run(seconds=0.1)
    assert app._time - time == pytest.approx(3 * app._session.control_dt)
    app._timing.pause.value = False
    app._single_step()  # only while paused
    assert app._time - time == pytest.approx(3 * app._session.control_dt)
    app._timing._speed.value = "1/10"
    time = app._time
    app.run(seconds=0.5)
    # At most a tenth of the half second, and the period that was due at once.
    assert 0 < app._time - time <= 0.05 + 2 * app._session.control_dt
    app._timing._speed.value = "1"


def test_another_policy_also_of_another_robot_takes_over_and_one_that_cannot_leaves_all_as_it_is(
    standing_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "LOGS", tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "policy.onnx").write_bytes(b"no network")
    offered = choices.Choices("mine", standing_policy)
    app = App(offered.open("mine", World()), port=0, choices=offered)
    try:
        broken = str(tmp_path / "broken")
        assert app._policy.options[0] == "mine"
        assert {"go2_flat", "tron1_flat", broken} <= set(app._policy.options)
        app._world.friction.value = 1.2
        app._policy.value = "tron1_flat"
        app.run(seconds=0.3)
        session = app._session
        assert session.spec.name == "tron1" and session.world.friction == 1.2
        assert app._stage.scene.robot._model is session.model and not app._trouble.visible
        assert (app._command.sliders[0].min, app._command.sliders[0].max) == session.command_ranges["lin_vel_x"]
        assert tuple(app._plots._legs) == session.spec.feet
        app._policy.value = broken
        app.run(seconds=0.1)
        assert app._session is session and app._policy.value == "tron1_flat"
        assert app._trouble.visible and "no ONNX file that can be read" in app._trouble.content
        assert "\n" not in app._trouble.content
        (tmp_path / "broken" / "policy.onnx").unlink()
        app._list_policies()
        assert broken not in app._policy.options and app._policy.value == "tron1_flat"
    finally:
        app.close()


def test_robots_walk_side_by_side_under_one_command(standing_policy: Path) -> None:
    offered = choices.Choices("go2_flat", policy_file("go2_flat"))
    app = App(offered.open("go2_flat", World()), port=0, choices=offered)
    try:
        assert app._beside is not None
        app._beside.leave(1, "tron1_flat")
        app._beside.leave(2, "nothing")
        app.run(seconds=0.1)
        assert [player.name for player in app._players.values()] == ["go2_flat", "tron1_flat"]
        assert app._trouble.visible and app._beside.wanted == {1: "tron1_flat"}
        first, second = app._stage.figures
        assert second.player.state.base_pos[1] == pytest.approx(1.2, abs=0.2)
        app.set_command(np.array([0.6, 0.0, 0.0]))
        app.run(seconds=3.0)
        for figure in (first, second):
            np.testing.assert_allclose(figure.player.command, (0.6, 0.0, 0.0))
            assert figure.player.velocity[0] > 0.3
            node = figure.robot.bodies[1]
            np.testing.assert_allclose(node.position, figure.player.state.base_pos, atol=0.1)
        assert "| tron1_flat | +0." in app.readout()
        before = [figure.player.state.velocity for figure in (first, second)]
        app._push(90.0)
        for figure, velocity in zip((first, second), before, strict=True):
            pushed = figure.player.session.state().velocity
            assert pushed[1] - velocity[1] == pytest.approx(0.8, abs=1e-6)
        app._world.terrain.value = "gravel"
        app.run(seconds=0.1)
        assert {player.session.world.terrain for player in app._players.values()} == {"gravel"}
        # Another period would be another time.
        session = app._players[1].session
        session.control_dt = 0.01
        app._beside.leave(3, "go1_flat")
        app.run(seconds=0.1)
        assert "its control period is 0.02 s, that of tron1_flat beside it 0.01 s" in app._trouble.content
        session.control_dt = 0.02
        app._beside.leave(1, None)
        app.run(seconds=0.1)
        assert len(app._stage.figures) == 1
    finally:
        app.close()


def test_arrows_and_trail_follow_the_robot(app: App) -> None:
    app._player.reset()
    app.set_command(np.array([0.5, 0.0, 0.0]))
    app.run(seconds=0.5)
    wanted = app._stage.figures[0].marks._arrows[0]
    assert wanted.visible
    np.testing.assert_allclose(wanted.points[0, 1] - wanted.points[0, 0], (0.25, 0.0, 0.0), atol=1e-6)
    np.testing.assert_allclose(
        app._stage.figures[0].marks._frame.position[:2], app._player.state.base_pos[:2], atol=0.05
    )
    app._view.marks.value = False
    app.set_command(np.zeros(3))
    app.run(seconds=0.3)
    assert not app._stage.figures[0].marks._root.visible and not wanted.visible
    app._view.marks.value = True
    app.run(seconds=0.1)


def test_an_address_that_is_not_this_machine_s_is_refused(standing_policy: Path) -> None:
    session = MujocoSession(standing_policy)
    with pytest.raises(ValueError, match=r"host: cannot listen on '192\.0\.2\.1'"):
        App(session, host="192.0.2.1", port=0)
    with pytest.raises(ValueError, match="port must lie in"):
        App(session, port=70000)


def test_a_taken_port_gives_the_next_one(standing_policy: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        app = App(MujocoSession(standing_policy), port=port)
        try:
            assert int(app.url.rpartition(":")[2]) > port
        finally:
            app.close()
