"""The viewer answers its own page, and what a page sends cannot harm it."""

from __future__ import annotations

import asyncio
import http.client
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import viser
import websockets
from viser import _messages

from legged_cts.viewer import drive
from legged_cts.viewer.app import App
from legged_cts.viewer.session import MujocoSession


@pytest.fixture(scope="module")
def app(standing_policy: Path) -> Iterator[App]:
    app = App(MujocoSession(standing_policy), port=0)
    yield app
    app.close()


def port(app: App) -> int:
    return app._server.get_port()


def connect(
    app: App,
    origin: str | None,
    send: list[_messages.Message] = [],  # noqa: B006
    host: str | None = None,
    path: str = "",
) -> bool:
    """Whether a websocket of a page of `origin` is accepted; it then sends messages."""

    async def once() -> bool:
        protocol: Any = [f"viser-v{viser.__version__}"]
        headers = {"Host": host} if host else {}
        try:
            async with websockets.connect(
                f"ws://127.0.0.1:{port(app)}{path}", origin=origin, subprotocols=protocol, additional_headers=headers
            ) as socket:  # type: ignore[arg-type]
                for message in send:
                    await socket.send(msgspec.msgpack.encode([message.as_serializable_dict()]))
                await asyncio.sleep(0.5)
                return True
        except websockets.InvalidStatus as error:
            assert error.response.status_code == 403
            return False

    return asyncio.run(once())


def test_only_the_own_page_may_open_a_websocket(app: App) -> None:
    assert connect(app, f"http://127.0.0.1:{port(app)}")
    for origin in ("http://evil.example", "null", None, "http://127.0.0.1:1", f"https://127.0.0.1:{port(app)}"):
        assert not connect(app, origin)
        assert not connect(app, origin, path=drive.PATH)


def test_a_name_that_only_leads_here_is_refused(app: App) -> None:
    for host, status in ((f"127.0.0.1:{port(app)}", 200), (f"localhost:{port(app)}", 200), ("evil.example", 403)):
        connection = http.client.HTTPConnection("127.0.0.1", port(app), timeout=10)
        connection.request("GET", "/", headers={"Host": host})
        assert connection.getresponse().status == status
        connection.close()


def test_no_message_opens_a_tunnel_or_closes_one(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(app._server, "disconnect_share_url", lambda: called.append("disconnect"))
    monkeypatch.setattr("viser._viser.ViserTunnel", lambda *args: called.append("tunnel"), raising=False)
    handlers = app._server._websock_server._incoming_handlers
    assert _messages.ShareUrlRequest not in handlers and _messages.ShareUrlDisconnect not in handlers
    assert app._server.request_share_url() is None
    origin = f"http://127.0.0.1:{port(app)}"
    connect(app, origin, [_messages.ShareUrlRequest(), _messages.ShareUrlDisconnect()])
    assert called == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, 5.0, "x", [1.0], {}, None])
def test_a_slider_keeps_to_its_range_whatever_a_page_sends(app: App, value: Any) -> None:
    slider = app._command.sliders[0]
    low, high = app._session.command_ranges["lin_vel_x"]
    handler = app._server._websock_server._incoming_handlers[_messages.GuiUpdateMessage][0]
    for updates in ({"value": value}, {"max": value}, {"value": value, "max": 1e9}, {"update_cb": value}, {}):
        message = _messages.GuiUpdateMessage(slider._impl.uuid, updates)
        try:
            asyncio.run(handler(0, message))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            pass  # viser's own refusal of a text for a number
        assert np.isfinite(app.command).all() and low <= app.command[0] <= high
        assert slider.max == high and isinstance(slider._impl.update_cb, list)
    app.run(seconds=0.1)
    app.set_command(np.zeros(3))


def test_choices_that_are_not_offered_are_ignored(app: App) -> None:
    world = app._world
    world.terrain.value, app._role.value, app._policy.value, app._timing._speed.value = "../evil", "god", "/", "1e9"
    for slider in (world.difficulty, world.friction, world.payload, world.push):
        slider.value = math.nan
    for job in (app._change_world, app._change_role, app._change_policy, lambda: app._push(math.pi)):
        app._jobs.put(job)
    app.run(seconds=0.1)
    assert app._session.world.terrain == "flat" and app._session.role == "student" and app._timing.speed == 1.0
    for slider in (world.friction, world.payload, world.push):
        slider.value = 1e300
    app._jobs.put(app._change_world)
    app.run(seconds=0.1)
    assert app._session.world.friction == 2.0
    assert 0 < app._session.world.payload < app._session.spec.total_mass
    assert np.isfinite(app._session.state().qpos).all()
