"""The browser viewer serves on this machine alone, and its controls work."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from legged_cts.viewer.app import App
from legged_cts.viewer.session import MujocoSession


@pytest.fixture(scope="module")
def app(standing_policy: Path) -> Iterator[App]:
    app = App(MujocoSession(standing_policy, difficulty=0.2), port=0)
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
    assert "| v_y | -0.50 |" in app.readout()
    app._stand_still()
    np.testing.assert_array_equal(app.command, np.zeros(3))


def test_pause_holds_the_robot_and_reset_puts_it_back(app: App) -> None:
    session = app._session
    app._pause.value = True
    app._jobs.put(app._push)
    before = session.state()
    app.run(seconds=0.1)
    np.testing.assert_array_equal(session.state().qpos, before.qpos)
    assert "paused" in app.readout()
    app._pause.value = False
    app.run(seconds=0.3)
    assert np.abs(session.state().qpos - before.qpos).max() > 1e-3
    app._pause.value = True
    app._jobs.put(app._reset)
    app.run(seconds=0.1)
    np.testing.assert_allclose(session.state().base_pos, (0.0, 0.0, session.spec.nominal_height))
    app._pause.value = False


def test_changing_the_terrain_draws_the_new_ground(app: App) -> None:
    app._terrain.value = "rough"
    app._jobs.put(app._change_terrain)
    app.run(seconds=0.2)
    assert app._session.terrain == "rough"
    assert app._scene._model is app._session.model
    app._terrain.value = "flat"
    app._jobs.put(app._change_terrain)
    app.run(seconds=0.2)
    assert app._session.terrain == "flat"


def test_a_fallen_robot_lies_for_a_while_and_starts_anew(app: App) -> None:
    app._reset()
    falls, state = app._falls, app._session.state()
    lying = type(state)(state.qpos, state.base_pos, state.velocity, fallen=True)
    for _ in range(10):
        app._follow_state(lying, 0.1)
    # Up for a moment is no second fall.
    app._follow_state(state, 0.02)
    app._follow_state(lying, 0.1)
    assert app._falls == falls + 1
    assert app._lying > 0.9
    for _ in range(10):
        app._follow_state(lying, 0.1)
        if app._lying == 0.0:  # it was set upright
            break
    assert app._lying == 0.0 and app._falls == falls + 1
    # A flicker is one fall, however long it goes on; a robot that stood up may fall anew.
    for _ in range(6):
        app._follow_state(lying, 0.02)
        app._follow_state(state, 0.2)
    assert app._falls == falls + 2
    for _ in range(6):
        app._follow_state(state, 0.2)
    app._follow_state(lying, 0.02)
    assert app._falls == falls + 3


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
