"""Keys and gamepads: what a page sends becomes a command, and silence becomes standing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets

from legged_cts.viewer import drive
from legged_cts.viewer.app import App
from legged_cts.viewer.session import MujocoSession


@pytest.mark.parametrize(
    "message",
    [b"0 0 0", "", "1 2", "1 2 3 4", "a b c", "nan 0 0", "inf 0 0", "0 " * 40, "1,2,3", None, 3],
)
def test_what_is_no_three_numbers_is_dropped(message: Any) -> None:
    assert drive.read_shares(message) is None


def test_shares_are_cut_and_scaled_to_each_side_of_the_range() -> None:
    np.testing.assert_array_equal(drive.read_shares("0.5 -7 1e3"), (0.5, -1.0, 1.0))
    ranges = [(-0.5, 1.5), (-0.2, 0.4), (0.0, 0.0)]
    np.testing.assert_allclose(drive.command_of(np.array([0.5, -1.0, 1.0]), ranges), (0.75, -0.2, 0.0))
    np.testing.assert_allclose(drive.command_of(np.array([-1.0, 0.5, 0.0]), ranges), (-0.5, 0.2, 0.0))


class Page:
    """The other end of a websocket: sends texts, then is silent, then gone."""

    def __init__(self, messages: list[Any], silence: float) -> None:
        self.messages, self.silence = messages, silence

    async def recv(self) -> Any:
        if self.messages:
            return self.messages.pop(0)
        await asyncio.sleep(self.silence)
        raise websockets.ConnectionClosedOK(None, None)


def listen(messages: list[Any], silence: float) -> list[list[float]]:
    heard: list[list[float]] = []
    asyncio.run(drive.Drive(lambda shares: heard.append(shares.tolist())).answer(Page(messages, silence)))
    return heard


def test_who_is_silent_or_gone_while_driving_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "SILENCE", 0.05)
    still = [0.0, 0.0, 0.0]
    # Gone.
    assert listen(["1 0 0"], 0.0) == [[1.0, 0.0, 0.0], still]
    # Silent: told once.
    assert listen(["1 0 0"], 0.5) == [[1.0, 0.0, 0.0], still]
    # Let go before: nothing more is said, so that the sliders stay where somebody puts them then.
    assert listen(["1 0 0", "0 0 0"], 0.2) == [[1.0, 0.0, 0.0], still]
    # Nonsense neither drives nor keeps a robot going.
    assert listen(["nonsense", "9" * 100], 0.2) == []


def test_a_page_drives_the_robot(standing_policy: Path) -> None:
    app = App(MujocoSession(standing_policy), port=0)
    port = app._server.get_port()

    async def drive_on() -> None:
        url, origin = f"ws://127.0.0.1:{port}{drive.PATH}", f"http://127.0.0.1:{port}"
        async with websockets.connect(url, origin=origin) as socket:  # type: ignore[arg-type]
            await socket.send("0.5 1 -1")
            await asyncio.sleep(0.2)
            await asyncio.to_thread(app.run, 0.1)
            np.testing.assert_allclose(app.command, (0.5, 0.5, -1.0))
        await asyncio.sleep(0.2)

    try:
        asyncio.run(drive_on())
        app.run(0.1)
        np.testing.assert_array_equal(app.command, np.zeros(3))
    finally:
        app.close()
