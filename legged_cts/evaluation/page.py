"""One file with all panels of one training or several, for a browser: no server, no network.

The page holds plotly's script compressed, the numbers, and what describes the panels. Whatever a run's folder says is
text in it: the page lets no script run but its own two.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import math
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from legged_cts.evaluation.lines import Line, pages_of
from legged_cts.evaluation.training_log import SMOOTHING, TrainingLog
from legged_cts.training.panels import Panel
from legged_cts.training.tables import duration, number

HERE = Path(__file__).parent
POINTS = 2000
"""Points of a line, over all runs; with more the file of a long run would pass 5 MB."""
LEAST_POINTS = 300
DASHES = ("solid", "dash", "dot", "dashdot")
"""Runs differ by their lines, roles by their colours."""
LATEST = {
    "return": ("return", 2),
    "lin_error": ("linear error [m/s]", 3),
    "yaw_error": ("yaw error [rad/s]", 3),
    "falls": ("falls", 3),
    "episode_length_s": ("episode [s]", 1),
    "terrain_level": ("terrain level", 2),
}
"""What a run's card shows of both roles, with title and digits."""
SETTINGS = {
    "robot": "robot",
    "terrain.name": "terrain",
    "algorithm.class_name": "algorithm",
    "env.scene.num_envs": "environments",
    "physics": "physics",
    "seed": "seed",
}
"""What a run's card shows of its configuration."""


def write_page(logs: Sequence[TrainingLog], path: Path, refresh_s: int | None = None) -> None:
    """Write the page.

    Args:
        logs: The trainings; several are drawn on top of each other.
        path: HTML file to write; who loads it meanwhile gets the old one or the new one, whole.
        refresh_s: Seconds after which the page loads itself anew; None for never.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(page_html(logs, refresh_s), encoding="utf-8")
    os.replace(beside, path)


def page_html(logs: Sequence[TrainingLog], refresh_s: int | None = None) -> str:
    """Return the page as text, see :func:`write_page`."""
    pages = pages_of(logs)
    nonce = secrets.token_urlsafe(16)
    reload = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    state = f"drawn {when}" + (f", anew every {refresh_s} s" if refresh_s else "")
    names = ", ".join(log.name for log in logs)
    links = "".join(f'<a href="#page{i}">{html.escape(page)}</a>' for i, page in enumerate(pages))
    cards = "".join(_card(log, i, len(logs)) for i, log in enumerate(logs))
    sections = "".join(
        f'<section id="page{i}"><h2>{html.escape(page)}</h2><div class="panels"></div></section>'
        for i, page in enumerate(pages)
    )
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{reload}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'nonce-{nonce}'; \
style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{html.escape(names)}</title>
<style>{(HERE / "page.css").read_text(encoding="utf-8")}</style></head>
<body><header><h1>legged_cts</h1><span class="state">{state}</span><nav>{links}</nav>
<label>over <select id="axis"><option value="steps">env steps</option><option value="iteration">iterations</option>
<option value="minutes">minutes of training</option></select></label>
<label>mean of <select id="smooth"><option value="0">1 row</option><option value="0.02">2 %</option>
<option value="0.05">5 %</option><option value="0.1">10 %</option></select></label></header>
<main><div class="cards">{cards}</div><p id="problem" hidden></p>{sections}</main>
<script type="application/json" id="content">{_json(_content(logs, pages))}</script>
<script type="application/gzip" id="plotly">{_plotly()}</script>
<script nonce="{nonce}">{script}</script></body></html>
"""


def _content(
    logs: Sequence[TrainingLog], pages: Mapping[str, Sequence[tuple[Panel, Sequence[Line]]]]
) -> dict[str, Any]:
    """Everything that the page's script draws."""
    metrics = {line.metric for panels in pages.values() for _, lines in panels for line in lines}
    return {
        "smoothing": 1 / SMOOTHING,
        "pages": [[_panel(panel, lines) for panel, lines in panels] for panels in pages.values()],
        "runs": [_run(log, i, len(logs), sorted(metrics)) for i, log in enumerate(logs)],
    }


def _panel(panel: Panel, lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "title": panel.title, "unit": panel.unit, "below": panel.below, "above": panel.above,
        "limits": panel.limits, "log": panel.log, "stacked": panel.stacked,
        "legend": len(lines) > 1 or any(series.color is None for series in panel.series),
        "lines": [{"metric": line.metric, "label": line.label, "color": line.color} for line in lines],
    }  # fmt: skip


def _run(log: TrainingLog, index: int, count: int, metrics: Sequence[str]) -> dict[str, Any]:
    every = max(1, math.ceil(len(log.rows) / max(LEAST_POINTS, POINTS // count)))
    shown = slice(len(log.rows) - 1 if log.rows else 0, None, -every)  # the newest row is always there
    axes = {
        "steps": log.million_steps(),
        "iteration": log.values("iteration"),
        "minutes": [seconds / 60.0 for seconds in log.values("train_time_s")],
    }
    return {
        "name": log.name,
        "dash": DASHES[index % len(DASHES)],
        "axes": {name: _numbers(values, shown) for name, values in axes.items()},
        "values": {metric: _numbers(log.values(metric), shown) for metric in metrics},
        "stages": [[name, *(_numbers([values[row]])[0] for values in axes.values())] for row, name in log.stages()],
    }


def _numbers(values: Sequence[float], shown: slice | None = None) -> list[float | None]:
    """Numbers with six digits, as a table of metrics has them; None where there is none."""
    chosen = values if shown is None else values[shown.start :: shown.step][::-1]
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in chosen]


def _card(log: TrainingLog, index: int, count: int) -> str:
    """What a run is, how far it is, what it reached, and what is wrong."""
    done, total = log.last("iteration") or 0.0, log.setting("max_iterations")
    known = isinstance(total, int) and total > 0
    share = f'<progress max="{total}" value="{done:.0f}"></progress>' if known else ""
    facts = [f"iteration {done:.0f}" + (f" of {total}" if known else "")]
    facts.append(f"{number((log.last('total_steps') or 0.0) / 1e6)} M steps")
    facts.append(f"{duration(log.last('train_time_s') or math.nan)} of training")
    facts.append(f"{number(log.last('perf/env_steps_per_s'), 0)} steps/s")
    facts.append(f"best score {number(log.last('best_score'), 3)}")
    settings = [
        f"{title} {_short(log.setting(key))}" for key, title in SETTINGS.items() if log.setting(key) is not None
    ]
    mark = f'<label><input type="checkbox" data-run="{index}" checked>{_dash(index)}</label>' if count > 1 else ""
    return (
        f"<article><div><h3>{mark}{html.escape(log.name)}</h3>{share}<p>{html.escape(' · '.join(facts))}</p>"
        f"<p>{html.escape(' · '.join(settings))}</p>{_notes(log)}</div>{_latest(log)}</article>"
    )


def _latest(log: TrainingLog) -> str:
    """A table of what both roles do now."""
    roles = [role for role in ("student", "teacher") if log.last(f"{role}/return") is not None]
    cells = {key: [log.last(f"{role}/{key}") for role in roles] for key in LATEST}
    shown = [key for key, values in cells.items() if any(value is not None for value in values)]
    if not shown:
        return "<div>nothing measured yet</div>"
    head = "".join(f"<th>{html.escape(LATEST[key][0])}</th>" for key in shown)
    body = "".join(
        f'<tr class="{role}"><th>{role}</th>'
        + "".join(f"<td>{number(cells[key][i], LATEST[key][1])}</td>" for key in shown)
        + "</tr>"
        for i, role in enumerate(roles)
    )
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{body}</table></div>'


def _notes(log: TrainingLog) -> str:
    """Alarms, faults and stages in words."""
    warnings = [("warning", f"iteration {iteration}: {text}") for iteration, text in log.warnings()]
    names = sorted({name for row in log.rows[-1:] for name in row if name.startswith("faults/")})
    faults = [(name.removeprefix("faults/").replace("_", " "), log.last(name) or 0.0) for name in names]
    seen = ", ".join(f"{name} {count:.0f}" for name, count in faults if count)
    notes = [*warnings, *([("warning", f"faults since the start: {seen}")] if seen else [])]
    notes = notes or [("good", "no warnings, no faults")]
    notes += [
        ("stage", f"stage {name} from iteration {log.rows[row]['iteration']:.0f} on") for row, name in log.stages()
    ]
    return "<ul>" + "".join(f'<li class="{kind}">{html.escape(text)}</li>' for kind, text in notes) + "</ul>"


def _dash(index: int) -> str:
    """The line of a run, as its panels have it."""
    pattern = {"solid": "none", "dash": "8 4", "dot": "2 3", "dashdot": "8 3 2 3"}[DASHES[index % len(DASHES)]]
    return (
        '<svg width="36" height="8"><line x1="0" x2="36" y1="4" y2="4" stroke="currentColor" stroke-width="2" '
        f'stroke-dasharray="{pattern}"/></svg>'
    )


def _short(value: Any) -> str:
    return str(value).rsplit(":", 1)[-1][:60]


def _json(value: Any) -> str:
    """JSON inside of a script element: no text in it can end the element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _plotly() -> str:
    """Plotly's script, which the browser decompresses: 4.8 MB are 1.9 MB so."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
