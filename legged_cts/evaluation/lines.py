"""Which lines a panel of several trainings has: the same in a picture and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from legged_cts.evaluation.training_log import TrainingLog
from legged_cts.training.panels import PAGES, Panel


@dataclass(frozen=True)
class Line:
    """A metric as it is drawn; ``color`` as ``#rrggbb``."""

    metric: str
    label: str
    color: str


def pages_of(
    logs: Sequence[TrainingLog], pages: Sequence[str] = tuple(PAGES)
) -> dict[str, list[tuple[Panel, list[Line]]]]:
    """Return the panels for which there is something to draw, with their lines, by page.

    Args:
        logs: The trainings.
        pages: Names of the pages to look at.
    """
    known = {name for log in logs for row in log.rows for name in row}
    found = {page: [(panel, lines_of(panel, known)) for panel in PAGES[page]] for page in pages}
    drawn = {page: [entry for entry in panels if entry[1]] for page, panels in found.items()}
    return {page: panels for page, panels in drawn.items() if panels}


def lines_of(panel: Panel, known: set[str]) -> list[Line]:
    """Return the lines of a panel, given the names of all metrics that there are."""
    lines = []
    for series in panel.series:
        names = series.names(known)
        shades = _shades(len(names), parts=panel.stacked)
        for name, shade in zip(names, shades, strict=True):
            lines.append(Line(name, series.label_of(name), _hex(series.color or shade)))
    return lines


def _shades(count: int, parts: bool) -> list[str]:
    """Colours of as many lines: of numbered ones in a row from dark to bright, of a sum's parts apart."""
    from matplotlib import colormaps

    if parts:
        return [_hex(colormaps["tab20"]((2 * index + index // 10) % 20)) for index in range(count)]
    return [_hex(colormaps["viridis"](0.15 + 0.8 * index / max(count - 1, 1))) for index in range(count)]


def _hex(color: object) -> str:
    from matplotlib.colors import to_hex

    return to_hex(color)  # type: ignore[arg-type]
