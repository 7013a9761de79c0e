"""Driving by the keys and gamepads of a page: what they hold is sent over a websocket of its own.

viser tells a program when a key goes down but not when it comes up, and nothing of gamepads; it can run a script in the
page (it brings plotly there in this way), and ours is `drive.js`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import viser
import websockets
from viser import _messages

from legged_cts.deploy.robot import Array

PATH = "/drive"
"""Where the page opens its websocket."""
SILENCE = 0.6
"""After so long without a word from a page that drives the robot is told to stand [s]; pages speak every 0.1 s."""
KEY_SHARE = 0.6
"""How much of a range a key asks for."""
LONGEST = 64
"""Characters of a message."""


class Drive:
    """Hands on what the pages hold, and zeros when they let go, fall silent or are gone.

    Args:
        on_shares: called from another thread with the shares [3] of the ranges of v_x, v_y and yaw rate, -1 to 1.
    """

    def __init__(self, on_shares: Callable[[Array], None]) -> None:
        self._on_shares = on_shares

    async def answer(self, socket: Any) -> None:
        """Listens to one page until it is gone."""
        driving = False
        try:
            while True:
                try:
                    message = await asyncio.wait_for(socket.recv(), SILENCE if driving else None)
                except TimeoutError:
                    driving = self._hand_on(np.zeros(3))
                    continue
                shares = read_shares(message)
                if shares is not None:
                    driving = self._hand_on(shares)
        except websockets.ConnectionClosed:
            pass
        finally:
            if driving:
                self._hand_on(np.zeros(3))

    def _hand_on(self, shares: Array) -> bool:
        self._on_shares(shares)
        return bool(shares.any())


def read_shares(message: Any) -> Array | None:
    """Three shares [3] cut to -1 to 1 from a page's text; None for anything else."""
    if not isinstance(message, str) or len(message) > LONGEST:
        return None
    try:
        shares = np.array([float(word) for word in message.split()])
    except ValueError:
        return None
    if shares.shape != (3,) or not np.isfinite(shares).all():
        return None
    return np.clip(shares, -1.0, 1.0)


def command_of(shares: Array, ranges: list[tuple[float, float]]) -> Array:
    """The command [3] for shares of ranges (low, high) around zero: 1 is the upper end, -1 the lower."""
    low, high = np.array(ranges).T
    return np.where(shares >= 0, shares * high, -shares * low)


def install(server: viser.ViserServer) -> None:
    """Lets every page that connects run `drive.js`."""
    source = Path(__file__).with_suffix(".js").read_text().replace("KEY_SHARE", f"{KEY_SHARE}")
    server.gui._websock_interface.queue_message(_messages.RunJavascriptMessage(source))
