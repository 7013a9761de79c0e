"""The comparing application: from a comparison's file to its runs and its report."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from legged_cts import told
from legged_cts.evaluation.compare.comparison import load_comparison
from legged_cts.evaluation.compare.jobs import Commands, lock, run_all
from legged_cts.evaluation.compare.launched import launch_all
from legged_cts.evaluation.compare.options import CompareOptions
from legged_cts.evaluation.compare.report import budget_note, write_report
from legged_cts.evaluation.compare.runs import check_record, plan


def compare(path: Path, options: CompareOptions, commands: Commands | None = None, launcher: Sequence[str] = ()) -> int:
    """Run what a comparison lacks, then report.

    Args:
        path: The comparison's file.
        options: The script's words.
        commands: How to train and evaluate; the scripts by default.
        launcher: Hydra's words, which choose one of its launchers; none is a few runs at a time on this machine.

    Returns:
        Exit status: 1 if a run failed, 130 if it was interrupted.

    Raises:
        ValueError: If the file, an option or a run's folder is wrong.
    """
    comparison = load_comparison(path)
    folder = Path(options.output or Path("logs") / "compare" / comparison.name)
    runs = plan(comparison, folder)
    print(f"{comparison.name}: {len(comparison.arms)} arms x {len(comparison.seeds)} seeds in {folder}", flush=True)
    note = budget_note(comparison, {run.arm: run.planned_steps for run in runs})
    if note:
        print(f"note: {note}", flush=True)
    if options.report_only:
        for run in runs:
            check_record(run)
        write_report(comparison, runs, folder)
        return 0
    with lock(folder):
        if launcher:
            cores = len(os.sched_getaffinity(0))
            outcome = launch_all(runs, launcher, max(1, cores // options.jobs), commands)
        else:
            outcome = run_all(runs, options.jobs, commands)
    write_report(comparison, runs, folder)
    if outcome.stopped or outcome.failed:
        words = [str(path), f"jobs={options.jobs}", f"output={folder}", *launcher]
        print(f"go on with: {told('compare')} {shlex.join(words)}")
    if outcome.stopped:
        return 130
    if outcome.failed:
        print(f"failed: {', '.join(run.name for run in outcome.failed)}")
    return 1 if outcome.failed else 0
