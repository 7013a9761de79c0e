"""One kind of plot for all of the page.

uPlot draws on a canvas and takes its numbers as they are; plotly would want a whole figure as JSON every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import viser

from legged_cts.deploy.robot import Array

GREEN, BLUE, RED, ORANGE = "#2ea043", "#2f6fde", "#d1242f", "#eb8934"
COLOURS = (BLUE, ORANGE, GREEN, "#8250df", RED, "#1b7c83", "#bf3989", "#6e7781")
HEIGHT = 100
"""Of a plot [pixels]."""
FONT, NOTHING = "10px sans-serif", "rgba(0,0,0,0)"


@dataclass(frozen=True)
class Chart:
    """A plot of the page.

    Attributes:
        handle: of viser.
        columns: of a table, one for each of n lines.
        lift: what is added to each line [n, 1].
    """

    handle: viser.GuiUplotHandle
    columns: Sequence[int]
    lift: Array

    def draw(self, x: Array, table: Array) -> None:
        """Shows its columns of a table [columns, k] over x [k]."""
        self.handle.data = (x, *(table[list(self.columns)] + self.lift))


def add_chart(
    gui: viser.GuiApi,
    title: str,
    lines: dict[str, str],
    columns: Sequence[int],
    reach: tuple[float, float] | None = None,
    limits: tuple[float, float] | None = None,
    legend: bool = True,
    numbered: bool = True,
) -> Chart:
    """Adds a plot where the page is being built.

    Args:
        gui: of viser.
        title: above the plot.
        lines: colour by name; an empty one is the next of `COLOURS`.
        columns: of the table, one for each line.
        reach: ends of the horizontal axis; None follows the numbers.
        limits: ends of the vertical axis; None follows the numbers.
        legend: whether the names are shown.
        numbered: whether the vertical axis has numbers; without, each line lies one above the last.
    """
    series: list[Any] = [{"label": ""}]
    for number, (name, colour) in enumerate(lines.items()):
        series.append({"label": name, "stroke": colour or COLOURS[number % len(COLOURS)], "width": 1.5})
    axis: Any = {"font": FONT, "gap": 2, "ticks": {"size": 3}}
    scales: Any = {
        "x": {"time": False} | ({"range": reach} if reach else {}),
        "y": {"range": limits} if limits else {},
    }
    handle = gui.add_uplot(
        tuple(np.zeros(2) for _ in series),
        tuple(series),
        title=title,
        scales=scales,
        axes=(axis | {"size": 20}, axis | {"size": 34} | ({} if numbered else {"stroke": NOTHING})),
        legend={"show": legend, "live": False},
        cursor={"show": False},
        height=HEIGHT,
        padding=(0, 8, 0, 0),
    )
    lift = np.zeros((len(columns), 1)) if numbered else np.arange(len(columns))[:, None]
    return Chart(handle, columns, lift)
