"""What can happen to a simulated robot and its wire, and the plan that says when."""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from legged_cts.deploy.onboard.link import BUTTONS, Remote
from legged_cts.deploy.onboard.operators import plan_lines
from legged_cts.deploy.onboard.simulated import SimulatedBody


class Mishaps:
    """What happens to the robot and its wire. Each method that a plan may name takes the words after its name."""

    def __init__(self, body: SimulatedBody, wire: Any, seed: int = 0) -> None:
        """Nothing is wrong."""
        self._body, self._wire = body, wire
        self.joints, self.lacks = body.joints, wire.lacks
        self._rng = np.random.default_rng(seed)
        self.lost, self.late, self.jitter_, self.frozen, self.quiet, self.spoilt = 0.0, 0.0, 0.0, False, False, False
        self.remote: Remote | None = Remote()
        self.heat = np.full(len(body.joints), 35.0)

    def drops(self) -> bool:
        """Whether the next message is lost."""
        return bool(self._rng.random() < self.lost)

    def due(self, now: float) -> float:
        """When a state of now arrives [s]."""
        return now + self.late + self.jitter_ * self._rng.random()

    def loss(self, share: float) -> None:
        """Of the messages, both ways."""
        self.lost = share

    def delay(self, seconds: float) -> None:
        """Of the states."""
        self.late = seconds

    def jitter(self, seconds: float) -> None:
        """Further delay, drawn for each state."""
        self.jitter_ = seconds

    def freeze(self) -> None:
        """The same state again and again."""
        self.frozen = True

    def silence(self) -> None:
        """No states."""
        self.quiet = True

    def nan(self) -> None:
        """No orientation."""
        self.spoilt = True

    def dead(self, joint: str) -> None:
        """A motor gives no torque."""
        self._body.dead[self.joints.index(joint)] = True

    def hot(self, joint: str, degrees: float) -> None:
        """A motor's temperature."""
        self.heat[self.joints.index(joint)] = degrees

    def push(self, x: float, y: float, z: float = 0.0) -> None:
        """Adds to the velocity of the base, in the world [m/s]."""
        self._body.push(np.array([x, y, z]))

    def friction(self, value: float) -> None:
        """Of the ground."""
        self._body.set_friction(value)

    def mode(self, number: float) -> None:
        """The build that a G1 says it is."""
        self._wire.mode_machine = int(number) % 256

    def crc(self) -> None:
        """The states' checksum is wrong."""
        self._wire.wrong_crc = 1

    def intruder(self) -> None:
        """Another controller publishes commands, too."""
        self._wire.intruded = True

    def gantry(self, what: str) -> None:
        """Hold, lower or release."""
        getattr(self._body, what)()

    def buttons(self, *names: str) -> None:
        """Held on the remote control from now on; `none` without the remote control, nothing for no button."""
        held = self.remote or Remote()
        self.remote = None if "none" in names else Remote(frozenset(names), held.left, held.right)

    def sticks(self, forward: float, left: float = 0.0, turn: float = 0.0) -> None:
        """Of the remote control, each -1 to 1."""
        held = frozenset() if self.remote is None else self.remote.buttons
        self.remote = Remote(held, (-left, forward), (-turn, 0.0))

    def normal(self) -> None:
        """The wire and the sensors work again."""
        self._wire.wrong_crc, self._wire.intruded = 0, False
        self.lost = self.late = self.jitter_ = 0.0
        self.frozen = self.quiet = self.spoilt = False
        self.heat[:] = 35.0


MISHAPS = ("loss", "delay", "jitter", "freeze", "silence", "nan", "dead", "hot", "push", "friction", "mode", "gantry",
           "buttons", "sticks", "crc", "intruder", "normal")  # fmt: skip


def read_mishaps(path: str | None, mishaps: Mishaps) -> deque[tuple[float, Callable[[], None]]]:
    """The plan of what happens, in the order of time.

    Raises:
        ValueError: naming the line that is wrong.
    """
    steps: deque[tuple[float, Callable[[], None]]] = deque()
    allowed = [name for name in MISHAPS if name not in mishaps.lacks]
    for number, seconds, (name, *rest) in [] if path is None else plan_lines(path):
        try:
            if name not in allowed:
                raise ValueError(f"no '{name}' (allowed: {', '.join(allowed)})")
            happens = getattr(mishaps, name)
            steps.append((seconds, partial(happens, *_arguments(happens, rest, mishaps.joints))))
        except (TypeError, ValueError) as error:
            raise ValueError(f"plan: {path}, line {number}: {error}") from error
    return steps


def _arguments(happens: Callable[..., None], words: list[str], joints: tuple[str, ...]) -> list[Any]:
    """The words after a mishap's name as it takes them: finite numbers, or one of what there is."""
    there = {"joint": joints, "what": ("hold", "lower", "release"), "names": (*BUTTONS, "none")}
    signature = inspect.signature(happens)
    signature.bind(*words)
    parameters = list(signature.parameters.values())
    values: list[Any] = []
    for index, word in enumerate(words):
        parameter = parameters[min(index, len(parameters) - 1)]
        if parameter.name not in there:
            if not re.fullmatch(r"[-+]?\d+(\.\d*)?|[-+]?\.\d+", word):
                raise ValueError(f"{happens.__name__}: {parameter.name}: expected a number, got '{word}'")
            values.append(float(word))
        elif word in there[parameter.name]:
            values.append(word)
        else:
            raise ValueError(f"{happens.__name__}: no '{word}' (allowed: {', '.join(there[parameter.name])})")
    return values
