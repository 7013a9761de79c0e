"""The comparing application: from a comparison's file to its runs and its report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legged_cts.deploy.words import WordError, option, parse_words
from legged_cts.evaluation.compare.comparison import load_comparison
from legged_cts.evaluation.compare.jobs import Commands, lock, run_all
from legged_cts.evaluation.compare.report import budget_note, write_report
from legged_cts.evaluation.compare.runs import check_record, plan


@dataclass(frozen=True)
class CompareOptions:
    """The words of the script."""

    jobs: int = option(1, "runs at a time, each on its own share of the cores")
    folder: str | None = option(None, "folder for runs and report; none is logs/compare/<name of the file>")
    report_only: bool = option(False, "true: report what is there, train nothing")


def split_words(argv: Sequence[str]) -> tuple[Path, CompareOptions]:
    """Split the command line into the comparison's file and the options.

    Raises:
        WordError: If a word is malformed, or there is not exactly one file.
    """
    files = [word for word in argv if "=" not in word]
    if len(files) != 1:
        raise WordError("give one comparison file, such as tasks/compare/cts_ablation.yaml")
    return Path(files[0]), parse_words([word for word in argv if "=" in word], CompareOptions)


def compare(path: Path, options: CompareOptions, commands: Commands | None = None) -> int:
    """Run what a comparison lacks, then report.

    Args:
        path: The comparison's file.
        options: The script's words.
        commands: How to train and evaluate; the scripts by default.

    Returns:
        Exit status: 1 if a run failed, 130 if it was interrupted.

    Raises:
        ValueError: If the file, an option or a run's folder is wrong.
    """
    comparison = load_comparison(path)
    folder = Path(options.folder or Path("logs") / "compare" / comparison.name)
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
        outcome = run_all(runs, options.jobs, commands)
    write_report(comparison, runs, folder)
    if outcome.stopped or outcome.failed:
        words = [str(path), f"jobs={options.jobs}", f"folder={folder}"]
        print(f"go on with: python scripts/compare.py {shlex.join(words)}")
    if outcome.stopped:
        return 130
    if outcome.failed:
        print(f"failed: {', '.join(run.name for run in outcome.failed)}")
    return 1 if outcome.failed else 0
