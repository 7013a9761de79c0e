"""The report of a comparison: tables for people and for programs, partial results marked as such."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from legged_cts.evaluation.compare.comparison import TITLES, Comparison
from legged_cts.evaluation.compare.plot import plot_summary
from legged_cts.evaluation.compare.results import Result, read_result
from legged_cts.evaluation.compare.runs import Run
from legged_cts.evaluation.compare.statistics import Difference, Estimate, Sample, difference, holm, sample
from legged_cts.evaluation.report import ALL

ROLES = ("student", "teacher")
TOLERANCE = 0.01
"""Arms whose steps differ by less than this share count as equal."""


@dataclass(frozen=True)
class Contrast:
    """The student's difference a - b in one metric."""

    metric: str
    a: str
    b: str
    difference: Difference
    p_holm: float


def write_report(comparison: Comparison, runs: Sequence[Run], folder: Path) -> None:
    """Write the tables, ``summary.md`` and ``summary.png``, and print the summary.

    Args:
        comparison: What was compared.
        runs: All its runs, finished or not.
        folder: Where the files go.

    Raises:
        ValueError: If a file of a run is damaged.
    """
    results = [read_result(run) for run in runs]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "results.csv", RESULT_COLUMNS, result_rows(comparison, results))
    samples = {
        (role, arm, metric): sample([result.get(role, metric) for result in of_arm(results, arm)])
        for role in ROLES
        for arm in comparison.arms
        for metric in comparison.metrics
    }
    _write(folder / "summary.csv", SUMMARY_COLUMNS, summary_rows(samples))
    tested = contrasts(comparison, results)
    _write(folder / "contrasts.csv", CONTRAST_COLUMNS, contrast_rows(comparison, tested))
    text = summary_text(comparison, results, samples, tested)
    (folder / "summary.md").write_text(text)
    plot_summary(comparison, results, folder / "summary.png")
    print(f"{text}\nwritten to {folder}: results.csv summary.csv contrasts.csv summary.md summary.png")


def of_arm(results: Sequence[Result], arm: str) -> list[Result]:
    """Return the results of one arm, in the order of the seeds."""
    return [result for result in results if result.run.arm == arm]


def contrasts(comparison: Comparison, results: Sequence[Result]) -> list[Contrast]:
    """Test the declared contrasts of the student, paired by seed, Holm-corrected over the contrasts of each metric."""
    found: list[Contrast] = []
    for metric in comparison.metrics:
        values = {arm: [result.get("student", metric) for result in of_arm(results, arm)] for arm in comparison.arms}
        differences = [difference(values[a], values[b]) for a, b in comparison.contrasts]
        corrected = holm([one.p for one in differences])
        found += [
            Contrast(metric, a, b, one, p)
            for (a, b), one, p in zip(comparison.contrasts, differences, corrected, strict=True)
        ]
    return found


def budget_note(comparison: Comparison, steps: Mapping[str, float]) -> str:
    """Say which arms take another number of steps than the baseline, nothing if all are equal within 1 %."""
    reference = steps[comparison.baseline]
    unequal = [arm for arm, count in steps.items() if abs(count - reference) > TOLERANCE * reference]
    if not unequal:
        return ""
    shares = ", ".join(f"{arm} {steps[arm] / 1e6:.3f} million" for arm in unequal)
    return (
        f"unequal steps: {shares}, where {comparison.baseline} takes {reference / 1e6:.3f} million "
        "(steps of checkpoints that a run starts from count)"
    )


RESULT_COLUMNS = ("arm", "seed", "role", "terrain", "level", "metric", "value", "episodes", "steps", "train_minutes")
SUMMARY_COLUMNS = ("role", "arm", "metric", "seeds", "mean", "mean_low", "mean_high", "iqm", "iqm_low", "iqm_high")
CONTRAST_COLUMNS = (
    "metric", "a", "b", "pairs", "difference", "low", "high", "better", "p_sign_flip", "p_holm",
)  # fmt: skip


def result_rows(comparison: Comparison, results: Sequence[Result]) -> list[list[object]]:
    """One row per run, role, part of the terrain and metric."""
    return [
        [r.run.arm, r.run.seed, v.role, v.terrain, v.level, v.metric, v.value, v.episodes, r.steps, r.minutes]
        for r in results
        for v in r.values
        if v.metric in comparison.metrics
    ]


def summary_rows(samples: Mapping[tuple[str, str, str], Sample]) -> list[list[object]]:
    """One row per role, arm and metric that was measured."""
    return [
        [*key, s.n, s.mean.value, s.mean.low, s.mean.high, s.iqm.value, s.iqm.low, s.iqm.high]
        for key, s in samples.items()
        if s.n
    ]


def contrast_rows(comparison: Comparison, tested: Sequence[Contrast]) -> list[list[object]]:
    """One row per metric and contrast."""
    return [
        [c.metric, c.a, c.b, c.difference.n, *vars(c.difference.mean).values(), better(comparison, c), c.difference.p,
         c.p_holm]
        for c in tested
    ]  # fmt: skip


def better(comparison: Comparison, contrast: Contrast) -> str:
    """Return the arm with the better mean, whether or not the difference is more than chance; empty if unknown."""
    value = contrast.difference.mean.value
    if math.isnan(value) or value == 0.0:
        return ""
    return contrast.a if (value < 0.0) == (comparison.metrics[contrast.metric] == "lower") else contrast.b


def summary_text(
    comparison: Comparison,
    results: Sequence[Result],
    samples: Mapping[tuple[str, str, str], Sample],
    tested: Sequence[Contrast],
) -> str:
    """Return the summary in Markdown."""
    parts = [f"# {comparison.name}", _state(results)]
    for role in ROLES:
        if any(samples[role, arm, metric].n for arm in comparison.arms for metric in comparison.metrics):
            parts += [f"## {role.capitalize()}", _arms_table(comparison, role, samples)]
    parts += ["## Declared contrasts of the student", _contrast_table(comparison, tested)]
    by_terrain = _terrain_table(comparison, results)
    if by_terrain:
        parts += ["## Student by kind of terrain", by_terrain]
    parts += ["## Budget", _budget_table(comparison, results), "## How to read this", _reading(comparison)]
    return "\n\n".join(parts) + "\n"


def _state(results: Sequence[Result]) -> str:
    finished = sum(result.run.finished for result in results)
    lines = [f"{finished} of {len(results)} runs are finished."]
    if finished < len(results):
        missing = [result.run.name for result in results if not result.run.finished]
        lines[0] = f"**Partial result**: {lines[0]} Missing: {', '.join(missing)}."
    conditions = {tuple(result.conditions.items()) for result in results if result.run.finished}
    if len(conditions) > 1:
        shown = "; ".join(", ".join(f"{key} {value}" for key, value in each) for each in sorted(conditions))
        lines.append(f"**Not comparable**: the runs were evaluated under different conditions: {shown}.")
    revisions = sorted({revision for result in results for revision in result.revisions})
    if len(revisions) > 1:
        lines.append(f"Made by {len(revisions)} revisions of the code: {', '.join(one[:12] for one in revisions)}.")
    return " ".join(lines)


def _arms_table(comparison: Comparison, role: str, samples: Mapping[tuple[str, str, str], Sample]) -> str:
    titles = [f"{TITLES[metric][0]}, {direction} is better" for metric, direction in comparison.metrics.items()]
    rows = []
    for arm in comparison.arms:
        of_metric = {metric: samples[role, arm, metric] for metric in comparison.metrics}
        cells = []
        for metric, one in of_metric.items():
            digits = TITLES[metric][1]
            text = _cell(one.mean, digits)
            # Below four seeds it is the mean.
            cells.append(f"{text}; IQM {_cell(one.iqm, digits)}" if one.n >= 4 else text)
        rows.append([_name(comparison, arm), str(max(one.n for one in of_metric.values())), *cells])
    return _table(["arm", "seeds", *titles], rows)


def _contrast_table(comparison: Comparison, tested: Sequence[Contrast]) -> str:
    rows = [
        [
            TITLES[c.metric][0], f"{c.a} - {c.b}", _cell(c.difference.mean, TITLES[c.metric][1]),
            better(comparison, c) or "-", str(c.difference.n), _number(c.difference.p, 3), _number(c.p_holm, 3),
        ]
        for c in tested
    ]  # fmt: skip
    return _table(["metric", "contrast", "difference", "better mean", "pairs", "p", "p, Holm"], rows)


def _terrain_table(comparison: Comparison, results: Sequence[Result]) -> str:
    kinds = list(dict.fromkeys(v.terrain for r in results for v in r.values if v.terrain != ALL))
    shown = [metric for metric in comparison.metrics if metric in ("lin_error", "fall", "promoted")]
    if not kinds or not shown:
        return ""
    rows = []
    for kind in kinds:
        for metric in shown:
            title, digits = TITLES[metric]
            of_arms = [
                sample([result.get("student", metric, kind) for result in of_arm(results, arm)])
                for arm in comparison.arms
            ]
            rows.append([kind, title, *(_number(one.mean.value, digits) for one in of_arms)])
    return _table(["terrain", "mean over seeds", *comparison.arms], rows)


def _budget_table(comparison: Comparison, results: Sequence[Result]) -> str:
    steps: dict[str, float] = {}
    rows = []
    for arm in comparison.arms:
        finished = [result for result in of_arm(results, arm) if result.run.finished]
        if finished:
            steps[arm] = sum(result.steps for result in finished) / len(finished)
            minutes = sum(result.minutes for result in finished) / len(finished)
            before = finished[0].run.checkpoint_steps
            rows.append([_name(comparison, arm), f"{steps[arm] / 1e6:.3f}", f"{before / 1e6:.3f}", f"{minutes:.1f}"])
    table = _table(
        ["arm", "steps of all environments [million]", "of these before, in a checkpoint", "training [min]"], rows
    )
    if comparison.baseline not in steps:
        return table
    note = budget_note(comparison, steps)
    return f"{table}\n\n" + (f"**{note[0].upper()}{note[1:]}.**" if note else "Steps are equal within 1 %.")


def _reading(comparison: Comparison) -> str:
    seeds, tests = len(comparison.seeds), len(comparison.contrasts)
    least = 2.0 / 2**seeds
    corrected = min(1.0, least * tests)
    lines = [
        f"Mean over seeds (95 % percentile bootstrap interval over {seeds} seeds). Every run is measured with its last "
        "checkpoint, at the end of its steps; student and teacher are never averaged.",
        f"p is the exact two-sided sign-flip test on differences paired by seed; with {seeds} seeds it cannot be below "
        f"{least:.3g}, and after Holm's correction over the {tests} contrasts of a metric not below {corrected:.3g}. "
        f"It is not corrected over the {len(comparison.metrics)} metrics.",
    ]
    if seeds == 3:
        lines.append("The interval of three seeds reaches from the smallest to the largest value.")
    if seeds < 6:
        lines.append(
            f"An interval of {seeds} seeds is too narrow: it covers the true mean less often than 95 %, and says "
            "little about effects that are not large."
        )
    if corrected > 0.05:
        lines.append("No difference here can be significant at 5 %, however large: that takes more seeds.")
    if {"lin_error", "yaw_error"} & set(comparison.metrics):
        lines.append("Tracking errors are of the time before a fall: read them with the falls.")
    return " ".join(lines)


def _name(comparison: Comparison, arm: str) -> str:
    return f"**{arm}** (baseline)" if arm == comparison.baseline else arm


def _cell(one: Estimate, digits: int) -> str:
    if math.isnan(one.low):
        return _number(one.value, digits)
    return f"{one.value:.{digits}f} ({one.low:.{digits}f} .. {one.high:.{digits}f})"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerow([_text(value) for value in row])


def _text(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value
