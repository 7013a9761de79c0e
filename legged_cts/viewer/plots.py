"""Plots of the last seconds, in a panel of their own that is away until it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser

from legged_cts.deploy.contract import COMMANDS
from legged_cts.deploy.robot import Array
from legged_cts.viewer.charts import BLUE, GREEN, RED, Chart, add_chart
from legged_cts.viewer.inner_plots import InnerPlots
from legged_cts.viewer.session import Insight, Signals, Simulation
from legged_cts.viewer.signals import Rolling, legs

SECONDS = 8.0
"""What is seen of the past."""
SAMPLES = 20
"""Numbers per second in a plot; between two of them the torques' largest counts."""
REDRAWN = 0.25
"""Seconds between two pictures."""
SPEEDS = ("v_x [m/s]", "v_y [m/s]", "yaw rate [rad/s]")
LEAST = 0.25
"""What the axis of a speed reaches at least [m/s, rad/s]."""
NARROW, WIDE = 300, 350
"""Of the panel [pixels], with two tabs and with more."""
PAST = (-SECONDS, 0.0)


class Plots:
    """What is commanded and measured, torques, contacts, and the angles of one leg.

    Args:
        server: of the browser viewer.
        later: leaves a job to the thread that draws.
    """

    def __init__(self, server: viser.ViserServer, later: Callable[[Callable[[], None]], None]) -> None:
        self._server, self._later = server, later
        self._panel, self._tabs = server.gui.add_panel(visible=False), 0
        self._speed_tab, self._joint_tab = self.add_tab("Speed"), self.add_tab("Joints")
        self._panel.dock_left()
        self._plots: list[Chart] = []
        self._angles: list[Chart] = []
        self._inner: InnerPlots | None = None
        self._leg: viser.GuiDropdownHandle[str] | None = None
        self._peak = np.zeros(0)
        self._next = self._redrawn = 0.0
        self._shown = False

    def add_tab(self, name: str) -> viser.GuiTabHandle:
        """A further tab of the panel."""
        tab = self._panel.add_tab(name)
        self._tabs += 1
        self._panel.set_width(NARROW if self._tabs < 3 else WIDE)
        return tab

    def show(self, show: bool) -> None:
        """Shows or hides the panel; what was collected before is forgotten."""
        self._shown, self._panel.visible = show, show
        self.forget()

    @property
    def shown(self) -> bool:
        """Whether anybody asked for the plots."""
        return self._shown

    def forget(self) -> None:
        """Begins with an empty past."""
        self._rows.clear()
        if self._inner is not None:
            self._inner.forget()
        self._next = self._redrawn = 0.0

    def build(self, session: Simulation) -> None:
        """Lays out the plots of a session's robot, in place of those of the last one."""
        spec = session.spec
        self._legs, self._joints, feet = legs(spec, session.model), spec.joints, len(spec.feet)
        # command, velocity, largest and mean share of the torques, contacts, angles
        self._rows = Rolling(round(SECONDS * SAMPLES), 3 + 3 + 2 + feet + len(spec.joints))
        for plot in self._plots:
            plot.handle.remove()
        if self._leg is not None:
            self._leg.remove()
        self._plots = []
        with self._speed_tab:
            for axis, (title, name) in enumerate(zip(SPEEDS, COMMANDS, strict=True)):
                low, high = session.command_ranges[name]
                lines = {"command": GREEN, "measured": BLUE}
                limits = (min(low, -LEAST) * 1.2, max(high, LEAST) * 1.2)
                self._plots.append(self._add(title, lines, [axis, 3 + axis], limits=limits))
            names, contacts = {_short(foot): "" for foot in spec.feet}, [8 + foot for foot in range(feet)]
            self._plots.append(self._add("feet on the ground", names, contacts, feet))
        with self._joint_tab:
            lines = {"largest": RED, "mean": BLUE}
            self._plots.append(self._add("torque [share of the limit]", lines, [6, 7], limits=(0.0, 1.05)))
            self._leg = self._server.gui.add_dropdown("Leg", tuple(self._legs), hint="whose angles are drawn below")
            self._leg.on_update(lambda _: self._later(self._lay_angles))
        self._lay_angles()
        insight = session.insight()
        if insight is not None and self._inner is None:
            self._inner = InnerPlots(self._server, self.add_tab, insight, round(SECONDS * SAMPLES), PAST)
        self.forget()

    def _lay_angles(self) -> None:
        """A plot for each joint of the leg that was chosen."""
        assert self._leg is not None
        if self._leg.value not in self._legs:
            return
        for plot in self._angles:
            plot.handle.remove()
        first = 8 + len(self._legs)
        with self._joint_tab:
            self._angles = [
                self._add(f"{_short(self._joints[joint])} [rad]", {"angle": BLUE}, [first + joint], legend=False)
                for joint in self._legs[self._leg.value]
            ]

    def _add(
        self,
        title: str,
        lines: dict[str, str],
        columns: list[int],
        stacked: int = 0,
        limits: tuple[float, float] | None = None,
        legend: bool = True,
    ) -> Chart:
        """A plot of columns of the table; `stacked` lines are drawn one above the other."""
        limits = (-0.2, stacked) if stacked else limits
        return add_chart(self._server.gui, title, lines, columns, PAST, limits, legend, numbered=not stacked)

    def take(
        self,
        now: float,
        command: Array,
        velocity: Array,
        signals: Signals,
        insight: Callable[[], Insight | None] = lambda: None,
    ) -> None:
        """Takes notice of a control period.

        Args:
            now: time of the simulation [s].
            command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s].
            velocity: the same as measured.
            signals: what else was measured.
            insight: what the training's task and networks say; asked for as often as it is kept.
        """
        peak = signals.torque_share if not self._peak.size else np.maximum(self._peak, signals.torque_share)
        self._peak = peak
        if now < self._next:
            return
        self._next = now + 1.0 / SAMPLES
        loads = (peak.max(), signals.torque_share.mean())
        self._rows.append(np.concatenate((command, velocity, loads, 0.7 * signals.contact, signals.joint_pos)))
        self._peak = np.zeros(0)
        inner = insight()
        if self._inner is not None and inner is not None:
            self._inner.take(inner)

    def draw(self, now: float) -> None:
        """Sends the plots, if it is time [s] for it."""
        if now - self._redrawn < REDRAWN or not self._shown:
            return
        table = self._rows.columns
        if table.shape[1] < 2:
            return
        self._redrawn = now
        time = (np.arange(table.shape[1]) - table.shape[1] + 1) / SAMPLES
        for plot in (*self._plots, *self._angles):
            plot.draw(time, table)
        if self._inner is not None:
            self._inner.draw(SAMPLES)


def _short(name: str) -> str:
    return name.removesuffix("_joint").removesuffix("_link")
