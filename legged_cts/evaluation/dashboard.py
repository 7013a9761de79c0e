"""The words of ``scripts/dashboard.py``, and what they ask for: a page or a picture of one training or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legged_cts.evaluation.page import write_page
from legged_cts.evaluation.picture import draw_picture
from legged_cts.evaluation.training_log import read_logs
from legged_cts.training.panels import PAGES
from legged_cts.training.run_folder import METRICS
from legged_cts.trust.plain import check_number

PAGE = "dashboard.html"


@dataclass(frozen=True)
class DashboardOptions:
    """What a command line asks for."""

    runs: tuple[Path, ...]
    output: Path
    refresh: int | None = None
    """Seconds until it is drawn anew, None for once."""


def parse_options(argv: Sequence[str]) -> DashboardOptions:
    """Read runs, ``output=`` and ``refresh=`` from the words of a command line.

    Raises:
        ValueError: If a word is unknown or wrong, or no run is given.
    """
    runs, given = [], {}
    for word in argv:
        key, sign, text = word.partition("=")
        if sign and key in ("output", "refresh") and text:
            given[key] = text
        elif word.startswith("-") or (sign and not Path(word).exists()):
            raise ValueError(f"'{word}' is neither a run, nor output=<file.html or file.png>, nor refresh=<seconds>")
        else:
            runs.append(Path(word))
    if not runs:
        raise ValueError(f"give one run or several: folders with a {METRICS}, or such files")
    beside = runs[0] if runs[0].is_dir() else runs[0].parent
    output = Path(given["output"]) if "output" in given else (beside if len(runs) == 1 else Path()) / PAGE
    if output.suffix not in (".html", ".png"):
        raise ValueError(f"output: must end in .html or .png, got {output.name!r:.80}")
    return DashboardOptions(tuple(runs), output, _seconds(given["refresh"]) if "refresh" in given else None)


def draw(options: DashboardOptions, again: bool = False) -> Path:
    """Draw the runs as they are now; return where.

    Args:
        options: What was asked for.
        again: Whether it will be drawn anew after ``options.refresh`` seconds, which a page then waits for.

    Raises:
        FileNotFoundError: If a run has no metrics.
        ValueError: If its metrics are no table of numbers.
    """
    logs = read_logs(options.runs)
    if options.output.suffix == ".html":
        write_page(logs, options.output, options.refresh if again else None)
    else:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        draw_picture(logs, options.output)
    return options.output


def leave_drawings(run: Path, previous_steps: int = 0) -> None:
    """Draw a run that has ended into its folder: the page, all panels as a picture, and the first page as another.

    Args:
        run: The run's folder.
        previous_steps: Environment steps of the training that it began from.
    """
    logs = read_logs([run], previous_steps)
    draw_picture(logs, run / "learning.png", [next(iter(PAGES))])
    draw_picture(logs, run / "diagnostics.png")
    write_page(logs, run / PAGE)


def _seconds(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"refresh: must be a whole number of seconds, got {text!r:.40}")
    seconds = int(text[:9])
    check_number("refresh", seconds, 1, 86400, whole=True)
    return seconds
