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

from legged_cts.viewer.app import App
from legged_cts.viewer.session import MujocoSession


@pytest.fixture(scope="module")
def app(standing_policy: Path) -> Iterator[App]:
    app = App(MujocoSession(standing_policy), port=0)
    yield app
    app.close()


def port(app: App) -> int:
    return app._server.get_port()


def connect(app: App, origin: str | None, send: list[_messages.Message] = [], host: str | None = None) -> bool:  # noqa: B006
    """Whether a websocket of a page of `origin` is accepted; it then sends messages."""

    async def once() -> bool:
        protocol: Any = [f"viser-v{viser.__version__}"]
        headers = {"Host": host} if host else {}
        try:
            async with websockets.connect(
                f"ws://127.0.0.1:{port(app)}", origin=origin, subprotocols=protocol, additional_headers=headers
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
    slider = app._sliders[0]
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
    app._stand_still()


def test_choices_that_are_not_offered_are_ignored(app: App) -> None:
    app._terrain.value = "../evil"
    app._role.value = "god"
    app._push_speed.value = math.nan
    for job in (app._change_terrain, app._change_role, app._push):
        app._jobs.put(job)
    app.run(seconds=0.1)
    assert app._session.terrain == "flat" and app._session.role == "student"
    assert np.isfinite(app._session.state().qpos).all()
