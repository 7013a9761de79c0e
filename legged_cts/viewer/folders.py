"""The folders of controls on the page: each builds its own, and reads them as what they may be.

What a page sends is bound neither to the ends of a slider nor to the choices of a list.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser

from legged_cts.deploy.contract import COMMANDS
from legged_cts.deploy.robot import Array
from legged_cts.viewer.recorder import KINDS
from legged_cts.viewer.session import FRICTION, Simulation, World

LABELS = {
    "lin_vel_x": ("v_x [m/s]", "forward"),
    "lin_vel_y": ("v_y [m/s]", "to the left"),
    "ang_vel_z": ("yaw [rad/s]", "turning left"),
}
PUSHES = (0.1, 2.0)
"""Smallest and largest push [m/s]."""
SIDES = {"ahead": 0.0, "left": 90.0, "back": 180.0, "right": -90.0}
"""Where a push may go, from the robot's heading to the left [degrees]."""
FRICTIONS = (0.1, 2.0)
PAYLOAD = 0.5
"""The largest payload, as a share of the robot's mass."""
SPEEDS = {"1": 1.0, "1/2": 0.5, "1/4": 0.25, "1/10": 0.1}
"""How fast the time may run."""

COMPANIONS, NOBODY = 3, "nobody"
"""How many robots may walk beside the first, and the entry for none."""

Act = Callable[[], None]


def number(slider: viser.GuiSliderHandle[float], low: float, high: float) -> float:
    """What a slider says, between two ends."""
    return float(np.clip(np.nan_to_num(slider.value, posinf=low, neginf=low), low, high))


class CommandFolder:
    """A slider for each speed."""

    def __init__(self, gui: viser.GuiApi, ranges: dict[str, tuple[float, float]]) -> None:
        with gui.add_folder("Command"):
            self.sliders = [
                gui.add_slider(label, -1.0, 1.0, 0.05, 0.0, hint=f"{direction}; the range is that of the training")
                for label, direction in (LABELS[name] for name in COMMANDS)
            ]
            gui.add_button("Stand still").on_click(lambda _: self.set(np.zeros(3)))
            gui.add_markdown("*W A S D Q E, arrows; gamepad: hold L1*")
        self.take(ranges)

    def take(self, ranges: dict[str, tuple[float, float]]) -> None:
        """Fits the sliders to the ranges of a policy."""
        self.ranges = [(min(low, 0.0), max(high, 0.0)) for low, high in (ranges[name] for name in COMMANDS)]
        for slider, (low, high) in zip(self.sliders, self.ranges, strict=True):
            slider.value = float(np.clip(slider.value, low, high))
            slider.min, slider.max, slider.disabled = low, high + (high <= low), high <= low

    @property
    def command(self) -> Array:
        """(v_x, v_y, yaw rate) as the sliders stand [m/s, m/s, rad/s] [3]."""
        sent = np.nan_to_num([float(slider.value) for slider in self.sliders], posinf=0.0, neginf=0.0)
        low, high = np.array(self.ranges).T
        return np.clip(sent, low, high)

    def set(self, command: Array) -> None:
        """Moves the sliders, as far as they go."""
        for slider, value, (low, high) in zip(self.sliders, command, self.ranges, strict=True):
            slider.value = float(np.clip(value, low, high))


class WorldFolder:
    """The ground and the load, where the session can change them."""

    def __init__(self, gui: viser.GuiApi, session: Simulation, changed: Act, push: Callable[[float], None]) -> None:
        with gui.add_folder("World"):
            self.terrain = gui.add_dropdown("Terrain", session.terrains, initial_value=session.world.terrain)
            self.terrain.hint = "with a number: a course of the benchmark, from its start to its end"
            self.difficulty = gui.add_slider("Difficulty", 0.0, 1.0, 0.05, session.world.difficulty)
            self.friction = gui.add_slider("Friction", *FRICTIONS, 0.05, FRICTION, hint="of the ground")
            self.payload = gui.add_slider("Payload [kg]", 0.0, 1.0, 0.1, 0.0, hint="added to the base")
            for handle in (self.terrain, self.difficulty, self.friction, self.payload):
                handle.on_update(lambda _: changed())
            self.push = gui.add_slider("Push [m/s]", *PUSHES, 0.1, 0.8)
            sides = gui.add_button_group("Push", tuple(SIDES), hint="the way the robot is pushed, seen from it")
            sides.on_click(lambda event: push(SIDES.get(event.target.value, 0.0)))
        self.take(session)

    def take(self, session: Simulation) -> None:
        """Fits the controls to a session."""
        world, mass = session.world, float(session.model.body_mass.sum())
        self._terrains, self._heaviest = session.terrains, max(PAYLOAD * (mass - world.payload), world.payload)
        self.terrain.options = session.terrains
        self.payload.max = round(self._heaviest, 1)
        self.terrain.value, self.difficulty.value = world.terrain, world.difficulty
        self.friction.value, self.payload.value = world.friction, world.payload
        for handle in (self.terrain, self.friction, self.payload):
            handle.disabled = len(session.terrains) < 2
        self.take_terrain(world)

    def take_terrain(self, world: World) -> None:
        """Level ground has no difficulty, and a course has its own."""
        self.difficulty.disabled = len(self._terrains) < 2 or not world.graded

    def world(self, now: World) -> World:
        """The world as the controls stand; what is not offered stays as it is now."""
        return World(
            self.terrain.value if self.terrain.value in self._terrains else now.terrain,
            number(self.difficulty, 0.0, 1.0),
            number(self.friction, *FRICTIONS),
            number(self.payload, 0.0, self._heaviest),
        )

    @property
    def push_speed(self) -> float:
        """Size of a push [m/s]."""
        return number(self.push, *PUSHES)


class BesideFolder:
    """Which policies walk beside the first, under the same command."""

    def __init__(self, gui: viser.GuiApi, names: tuple[str, ...], changed: Act) -> None:
        with gui.add_folder("Side by side", expand_by_default=False):
            self._lists = {
                place: gui.add_dropdown(f"Robot {place + 1}", (NOBODY, *names)) for place in range(1, COMPANIONS + 1)
            }
        for handle in self._lists.values():
            handle.on_update(lambda _: changed())

    def take(self, names: tuple[str, ...]) -> None:
        """Offers other policies; who walks stays in the list."""
        for handle in self._lists.values():
            handle.options = tuple(dict.fromkeys((NOBODY, *names, handle.value)))

    @property
    def wanted(self) -> dict[int, str]:
        """By place, the names of the policies that shall walk."""
        return {place: handle.value for place, handle in self._lists.items() if handle.value != NOBODY}

    def leave(self, place: int, name: str | None) -> None:
        """Says who walks at a place, or that nobody does."""
        self._lists[place].value = name or NOBODY


class TimeFolder:
    """Pause, single steps, slow motion, a fresh start."""

    def __init__(self, gui: viser.GuiApi, step: Act, reset: Act) -> None:
        with gui.add_folder("Time"):
            self.pause = gui.add_checkbox("Pause", initial_value=False, hint="space")
            buttons = gui.add_button_group("Do", ("step", "reset"), hint="step: one period while paused (N); reset: R")
            buttons.on_click(lambda event: step() if event.target.value == "step" else reset())
            self._speed = gui.add_dropdown("Speed", tuple(SPEEDS), hint="of the real time, at most")
        gui.add_command("Pause", hotkey="space").on_trigger(lambda _: self._toggle())
        gui.add_command("Step", hotkey="N").on_trigger(lambda _: step())
        gui.add_command("Reset", hotkey="R").on_trigger(lambda _: reset())

    @property
    def speed(self) -> float:
        """Simulated seconds per second."""
        return SPEEDS.get(self._speed.value, 1.0)

    def _toggle(self) -> None:
        self.pause.value = not self.pause.value


class RecordFolder:
    """A button that begins and ends a recording, and what became of it."""

    def __init__(self, gui: viser.GuiApi, press: Callable[[viser.ClientHandle | None], None]) -> None:
        with gui.add_folder("Record", expand_by_default=False):
            self._kind = gui.add_dropdown("File", KINDS)
            self.button = gui.add_button("Record", hint="of the first robot, in logs/recordings and to be saved")
            self._said = gui.add_markdown("")
        self.button.on_click(lambda event: press(event.client))

    @property
    def kind(self) -> str:
        """Which file is wanted."""
        return self._kind.value if self._kind.value in KINDS else KINDS[0]

    def say(self, text: str, recording: bool, busy: bool) -> None:
        """Shows how far it is."""
        self._said.content = text
        self.button.label = "Stop and save" if recording else "Record"
        self.button.disabled = busy


class ViewFolder:
    """What is seen, and from where."""

    def __init__(self, gui: viser.GuiApi, changed: Act) -> None:
        with gui.add_folder("View"):
            self.follow = gui.add_checkbox("Follow the robot", initial_value=True)
            self.marks = gui.add_checkbox("Arrows and trail", initial_value=True, hint="green: command, blue: measured")
            self.plots = gui.add_checkbox("Plots", initial_value=False)
            self.collision = gui.add_checkbox("Collision shapes", initial_value=False)
            for handle in (self.follow, self.marks, self.plots, self.collision):
                handle.on_update(lambda _: changed())
