"""What only a training's task and networks know, as plots: the terms of the reward, and the latents."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping

import numpy as np
import viser

from legged_cts.viewer.charts import BLUE, ORANGE, RED, add_chart
from legged_cts.viewer.session import Insight
from legged_cts.viewer.signals import Rolling

ROLES = {"teacher": ORANGE, "student": BLUE}
SHOWN = 6
"""Of each latent so many numbers are drawn."""


class InnerPlots:
    """Two tabs, or one where there are no latents.

    Args:
        server: of the browser viewer.
        add_tab: adds a tab to the panel.
        insight: what there is to show, by its names and sizes.
        rows: how many numbers a line has.
        reach: the seconds that they cover.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        add_tab: Callable[[str], viser.GuiTabHandle],
        insight: Insight,
        rows: int,
        reach: tuple[float, float],
    ) -> None:
        gui, self._terms = server.gui, tuple(insight.rewards)
        self._rewards = Rolling(rows, len(self._terms) + 1)
        self._sizes = {role: len(insight.latents[role]) for role in ROLES if role in insight.latents}
        with add_tab("Reward"):
            self._curve = add_chart(gui, "reward [1/s]", {"all terms": BLUE}, [len(self._terms)], reach, legend=False)
            self._bars = gui.add_html("")
        self._latents = Rolling(rows, sum(self._sizes.values()) + 1)
        self._charts = []
        if not self._sizes:
            return
        with add_tab("Latent"):
            first = 0
            if self._compared:
                last = sum(self._sizes.values())
                self._charts.append(add_chart(gui, "|z_s - z_t|", {"distance": RED}, [last], reach, legend=False))
            for role, size in self._sizes.items():
                lines = {f"{number + 1}": "" for number in range(min(SHOWN, size))}
                columns, title = range(first, first + len(lines)), f"z of the {role}, {len(lines)} of {size}"
                self._charts.append(add_chart(gui, title, lines, columns, reach, legend=False))
                first += size

    @property
    def _compared(self) -> bool:
        """Whether both roles have a latent, of one size."""
        return len(self._sizes) == 2 and len(set(self._sizes.values())) == 1

    def forget(self) -> None:
        """Begins with an empty past."""
        self._rewards.clear()
        self._latents.clear()

    def take(self, insight: Insight) -> None:
        """Keeps what is known of a moment."""
        terms = [insight.rewards[name] for name in self._terms]
        self._rewards.append(np.array([*terms, sum(terms)]))
        # A recurrent student that does not act has no latent of the present.
        latents = [insight.latents.get(role, np.full(size, np.nan)) for role, size in self._sizes.items()]
        if latents:
            distance = np.linalg.norm(latents[0] - latents[1]) if self._compared else np.nan
            self._latents.append(np.concatenate((*latents, [distance])))

    def draw(self, samples: int) -> None:
        """Sends the plots; `samples` numbers were kept in a second."""
        table = self._rewards.columns
        if table.shape[1] < 2:
            return
        time = (np.arange(table.shape[1]) - table.shape[1] + 1) / samples
        self._curve.draw(time, table)
        means = table[:-1, -samples:].mean(axis=1)
        self._bars.content = bars(dict(zip(self._terms, means.tolist(), strict=True)))
        for chart in self._charts:
            chart.draw(time, self._latents.columns)


def bars(terms: Mapping[str, float]) -> str:
    """The terms of a reward as HTML, the largest first, what is lost to the left and what is gained to the right."""
    largest = max((abs(value) for value in terms.values()), default=0.0) or 1.0
    rows = []
    for name, value in sorted(terms.items(), key=lambda term: -abs(term[1])):
        width, side = 50 * abs(value) / largest, "left" if value >= 0 else "right"
        colour = BLUE if value >= 0 else RED
        rows.append(
            f'<div style="display:flex;align-items:center;gap:4px;height:15px">'
            f'<span style="width:108px;overflow:hidden;text-overflow:ellipsis">{html.escape(name)}</span>'
            f'<span style="flex:1;position:relative;height:9px;background:rgba(128,128,128,.15)"><span style="position:'
            f'absolute;{side}:50%;width:{width:.1f}%;height:9px;background:{colour}"></span></span>'
            f'<span style="width:46px;text-align:right">{value:+.3f}</span></div>'
        )
    return f'<div style="font:11px sans-serif;padding:4px 10px">by term, mean of a second [1/s]{"".join(rows)}</div>'
