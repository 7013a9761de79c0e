"""Pictures of what was measured, from its JSON: commanded against achieved speed, falls over time, success by ground.

A robot's computer has no matplotlib: there nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from legged_cts.deploy.contract import COMMANDS
from legged_cts.deploy.response import LABELS

COLORS = {"student": "tab:blue", "teacher": "tab:orange"}
ALL = "all"

Record = Mapping[str, Any]


def draw_results(results: Record, path: Path) -> bool:
    """Draws what there is of: the response to constant commands, the falls of the episodes, success by kind and level.

    Args:
        results: What `scripts/sim2sim.py` writes as JSON, or `scripts/evaluate.py` as `evaluation.json`, with
            `response` of `response.json`. What is of several roles is a mapping by role.
        path: PNG to write.

    Returns:
        Whether it was drawn: not without matplotlib, and not if there is nothing to draw.
    """
    answers, episodes = _by_role(results.get("response")), _by_role(results.get("episodes"))
    success = success_by_ground(results.get("rows", ()))
    if not (answers or episodes):
        return False
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = max((len({kind for kind, _ in cells}) for cells in success.values()), default=0)
    heights = [3.4, *([1.2 + 0.35 * kinds] if kinds else [])]
    figure = pyplot.figure(figsize=(15, sum(heights)), layout="constrained")
    told = [str(results[name]) for name in ("robot", "task", "terrain", "physics", "policy") if results.get(name)]
    figure.suptitle(", ".join(told), fontsize=10, parse_math=False)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    axes = parts[0].subplots(1, 4 if answers else 1, squeeze=False)[0]
    if answers:
        for index, axis in enumerate(axes[:3]):
            _draw_answers(axis, index, answers)
    _draw_falls(axes[-1], episodes, float(results.get("duration", 0.0)))
    if kinds:
        below = parts[1].subplots(1, len(success), squeeze=False)[0]
        for axis, (role, cells) in zip(below, success.items(), strict=True):
            _draw_success(axis, role, cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
    return True


def fallen_by(episodes: Sequence[Record]) -> tuple[list[float], list[float]]:
    """When robots fell.

    Args:
        episodes: Of each the `duration` [s] until it ended, and `fall`: 1 if by one.

    Returns:
        The times of the falls in their order [s], and the share of all episodes that had fallen then.
    """
    times = sorted(float(episode["duration"]) for episode in episodes if episode["fall"])
    return times, [(count + 1) / len(episodes) for count in range(len(times))]


def success_by_ground(rows: Sequence[Record]) -> dict[str, dict[tuple[str, int], tuple[int, int]]]:
    """By role, and by kind of terrain and level: the episodes without a fall, of how many.

    Ground of one kind has no parts.
    """
    found: dict[str, dict[tuple[str, int], tuple[int, int]]] = {}
    for row in rows:
        if row["metric"] == "fall" and row["level"] != ALL and row["mean"] is not None:
            upright = round((1.0 - row["mean"]) * row["episodes"])
            found.setdefault(row["role"], {})[row["terrain"], int(row["level"])] = (upright, row["episodes"])
    return found


def _by_role(value: Any) -> dict[str, Sequence[Record]]:
    return {"policy": value} if isinstance(value, list) else dict(value or {})


def _draw_answers(axis: Any, index: int, answers: Mapping[str, Sequence[Record]]) -> None:
    """Achieved over commanded speed along one axis; where all fell a cross on the line of zero."""
    reach = 0.0
    for role, records in answers.items():
        along = [one for one in records if _axis_of(one) in (index, None)]
        color = COLORS.get(role, "tab:blue")
        points = [
            (one["command"][index], one["achieved"][index]) for one in along if one["achieved"][index] is not None
        ]
        if points:
            axis.plot(*zip(*points, strict=True), "o-", color=color, label=role, markersize=4)
        fell = [(one["command"][index], one["achieved"][index] or 0.0) for one in along if one["fell"]]
        if fell:
            axis.plot(*zip(*fell, strict=True), "x", color="tab:red", label="some fell", markersize=8)
        reach = max([reach, *(abs(one["command"][index]) for one in along)])
    axis.plot([0, reach], [0, reach], color="gray", linewidth=0.8, linestyle="--", label="as told")
    name, unit = LABELS[COMMANDS[index]].split()
    axis.set(title=name, xlabel=f"told {unit}", ylabel=f"does {unit}")
    axis.grid(alpha=0.3)
    axis.legend(*_once(axis), fontsize=8, frameon=False)


def _axis_of(record: Record) -> int | None:
    """The axis along which a command points, None if it is zero."""
    sizes = [abs(value) for value in record["command"]]
    return sizes.index(max(sizes)) if any(sizes) else None


def _draw_falls(axis: Any, episodes: Mapping[str, Sequence[Record]], duration: float) -> None:
    for role, records in episodes.items():
        times, shares = fallen_by(records)
        end = max([duration, *times])
        label = f"{role}: {len(times)} of {len(records)}"
        axis.step([0.0, *times, end], [0.0, *shares, shares[-1] if shares else 0.0], where="post",
                  color=COLORS.get(role, "tab:blue"), label=label)  # fmt: skip
    axis.set(title="fallen until then", xlabel="s", ylabel="share of episodes")
    axis.set_ylim(0.0, max(axis.get_ylim()[1], 0.05))
    axis.grid(alpha=0.3)
    if episodes:
        axis.legend(fontsize=8, frameon=False)


def _draw_success(axis: Any, role: str, cells: Mapping[tuple[str, int], tuple[int, int]]) -> None:
    """A map of kinds over levels; what was not measured stays white."""
    kinds = sorted({kind for kind, _ in cells})
    levels = sorted({level for _, level in cells})
    grid = [[float("nan")] * len(levels) for _ in kinds]
    for (kind, level), (upright, episodes) in cells.items():
        row, column = kinds.index(kind), levels.index(level)
        grid[row][column] = upright / episodes
        axis.text(column, row, f"{upright}/{episodes}", ha="center", va="center", fontsize=8)
    axis.imshow(grid, vmin=0.0, vmax=1.0, cmap="RdYlGn", alpha=0.7, aspect="auto")
    axis.set_xticks(range(len(levels)), levels)
    axis.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    axis.set(title=f"{role}: episodes without a fall", xlabel="level")


def _once(axis: Any) -> tuple[list[Any], list[str]]:
    """Handles and labels of a legend, each label once."""
    handles, labels = axis.get_legend_handles_labels()
    first = {label: handle for handle, label in reversed(list(zip(handles, labels, strict=True)))}
    return list(reversed(first.values())), list(reversed(first))
