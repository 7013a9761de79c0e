"""The browser viewer: sliders for the command, and what the robot makes of it."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable

import numpy as np

from legged_cts.deploy.contract import COMMANDS
from legged_cts.deploy.robot import Array
from legged_cts.viewer.own_page import open_server
from legged_cts.viewer.scene import Scene
from legged_cts.viewer.session import UPRIGHT, Simulation, State

LABELS = {
    "lin_vel_x": ("v_x [m/s]", "forward"),
    "lin_vel_y": ("v_y [m/s]", "to the left"),
    "ang_vel_z": ("yaw [rad/s]", "turning left"),
}
PUSHES = (0.1, 2.0)
"""Smallest and largest push [m/s]."""
FRAME = 1 / 30
READOUT = 0.2
SMOOTHING = 0.4
"""Time constant of the velocities shown [s]: a gait sways the base with every step."""
LYING = 1.5
"""How long a fallen robot lies there before it starts anew [s]."""


class App:
    """Shows a session in the browser; whoever opens the page may steer.

    Args:
        session: what to play.
        host: address to listen on; 127.0.0.1 is reachable from this machine alone.
        port: port to listen on, or the next free one; 0 is any free one.
        seed: of the direction of pushes.

    Raises:
        ValueError: if one cannot listen there.
    """

    def __init__(self, session: Simulation, host: str = "127.0.0.1", port: int = 8080, seed: int = 0) -> None:
        _check_address(host, port)
        self._session = session
        self._rng = np.random.default_rng(seed)
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._velocity = np.zeros(3)
        self._speed = 1.0
        self._falls = 0
        self._lying = self._upright = 0.0
        self._server = open_server(host, port, "legged_cts")
        self.url = f"http://{host}:{self._server.get_port()}"
        self._server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        self._server.initial_camera.position = (1.1, -1.7, 0.6)
        self._server.initial_camera.look_at = (0.0, 0.0, -0.05)
        self._server.initial_camera.fov = float(np.deg2rad(45))
        self._build_gui()
        self._rebuild_scene()

    def _build_gui(self) -> None:
        gui, session = self._server.gui, self._session
        gui.add_markdown(f"**{session.title}**")
        self._readout = gui.add_markdown("")
        with gui.add_folder("Command"):
            self._sliders = []
            for name in COMMANDS:
                low, high = session.command_ranges[name]
                low, high = min(low, 0.0), max(high, 0.0)
                fixed = high <= low
                label, direction = LABELS[name]
                hint = f"{direction}; the range is that of the training"
                slider = gui.add_slider(label, low, high + fixed, 0.05, 0.0, disabled=fixed, hint=hint)
                self._sliders.append(slider)
            gui.add_button("Stand still").on_click(lambda _: self._stand_still())
        with gui.add_folder("Policy"):
            self._role = gui.add_dropdown(
                "Role",
                session.roles,
                initial_value=session.role,
                disabled=len(session.roles) < 2,
                hint="the teacher needs checkpoint=... role=teacher",
            )
            self._role.on_update(lambda _: self._jobs.put(self._change_role))
        with gui.add_folder("World"):
            self._terrain = gui.add_dropdown(
                "Terrain", session.terrains, initial_value=session.terrain, disabled=len(session.terrains) < 2
            )
            self._terrain.on_update(lambda _: self._jobs.put(self._change_terrain))
            self._push_speed = gui.add_slider("Push [m/s]", *PUSHES, 0.1, 0.8)
            gui.add_button("Push", hint="from a random side").on_click(lambda _: self._jobs.put(self._push))
            self._pause = gui.add_checkbox("Pause", initial_value=False)
            gui.add_button("Reset").on_click(lambda _: self._jobs.put(self._reset))
        with gui.add_folder("View"):
            self._follow = gui.add_checkbox("Follow the robot", initial_value=True)
            self._follow.on_update(lambda _: self._jobs.put(self._apply_view))
            self._collision = gui.add_checkbox("Collision shapes", initial_value=False)
            self._collision.on_update(lambda _: self._jobs.put(self._apply_view))

    @property
    def command(self) -> Array:
        """(v_x, v_y, yaw rate) as the sliders stand [m/s, m/s, rad/s] [3]."""
        # What a page sends is not bound to the ends of the slider.
        ranges = [self._session.command_ranges[name] for name in COMMANDS]
        sent = [float(slider.value) for slider in self._sliders]
        low, high = np.array([(min(low, 0.0), max(high, 0.0)) for low, high in ranges]).T
        return np.clip(np.nan_to_num(sent, posinf=0.0, neginf=0.0), low, high)

    def set_command(self, command: Array) -> None:
        """Moves the sliders, as far as they go."""
        for slider, value in zip(self._sliders, command, strict=True):
            slider.value = float(np.clip(value, slider.min, slider.max))

    def run(self, seconds: float | None = None) -> None:
        """Plays in real time, until `stop` or for some seconds."""
        dt = self._session.control_dt
        state = self._session.state()
        begun = due = drawn = told = time.monotonic()
        steps, counted = 0, begun
        while not self._stop.is_set():
            while not self._jobs.empty():
                self._jobs.get()()
                state = self._session.state()
            if not self._pause.value:
                state = self._session.step(self.command)
                steps += 1
                self._follow_state(state, dt)
            now = time.monotonic()
            if now - drawn >= FRAME:
                drawn = now
                self._scene.update(state.qpos)
            if now - told >= READOUT:
                self._speed = steps * dt / (now - counted)
                steps, counted, told = 0, now, now
                self._readout.content = self.readout()
            if seconds is not None and now - begun >= seconds:
                return
            # A machine too slow for real time must not try to catch up.
            due = max(due + dt, now - dt)
            self._stop.wait(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        """Ends `run`."""
        self._stop.set()

    def close(self) -> None:
        """Ends `run` and the server."""
        self.stop()
        self._server.stop()

    def readout(self) -> str:
        """Commanded against measured velocity, as a table in Markdown."""
        rows = "\n".join(
            f"| {name} | {wanted:+.2f} | {measured:+.2f} |"
            for name, wanted, measured in zip(("v_x", "v_y", "yaw rate"), self.command, self._velocity, strict=True)
        )
        pace = "paused" if self._pause.value else f"{self._speed:.1f} x real time"
        return f"| | command | measured |\n|---|---|---|\n{rows}\n\n{pace}, falls: {self._falls}"

    def _follow_state(self, state: State, dt: float) -> None:
        self._velocity += min(1.0, dt / SMOOTHING) * (state.velocity - self._velocity)
        self._upright = 0.0 if state.fallen else self._upright + dt
        if not state.fallen:
            if self._upright >= UPRIGHT:
                self._lying = 0.0
            return
        if self._lying == 0.0:
            self._falls += 1
        self._lying += dt
        if self._lying > LYING:
            self._reset()

    def _reset(self) -> None:
        self._session.reset()
        self._velocity, self._lying, self._upright = np.zeros(3), 0.0, 0.0

    def _push(self) -> None:
        angle = self._rng.uniform(-np.pi, np.pi)
        speed = float(np.clip(np.nan_to_num(self._push_speed.value), *PUSHES))
        self._session.push(speed * np.array([np.cos(angle), np.sin(angle), 0.0]))

    def _stand_still(self) -> None:
        self.set_command(np.zeros(3))

    def _change_role(self) -> None:
        if self._role.value in self._session.roles:
            self._session.set_role(self._role.value)

    def _change_terrain(self) -> None:
        if self._terrain.value in self._session.terrains and self._terrain.value != self._session.terrain:
            self._session.set_terrain(self._terrain.value)
            self._reset()
            self._scene.remove()
            self._rebuild_scene()

    def _rebuild_scene(self) -> None:
        self._scene = Scene(self._server, self._session.model, self._session.spec.base)
        self._apply_view()
        self._scene.update(self._session.state().qpos)

    def _apply_view(self) -> None:
        self._scene.follow = self._follow.value
        self._scene.show_collision(self._collision.value)


def _check_address(host: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"port must lie in [0, 65535], got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        raise ValueError(f"host: cannot listen on '{host}': {error}") from error
