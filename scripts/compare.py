"""Compares ways of training: `python scripts/compare.py tasks/compare/cts_ablation.yaml [jobs=2] [output=logs/...]`.

The file names arms, seeds and what is measured. Every arm is trained with every seed, its student and teacher are
measured, and results.csv, summary.csv, contrasts.csv, summary.md and summary.png say how they differ and how sure that
is. The same command goes on after an interruption; `report_only=true` reports what there is. Runs can also be jobs of
one of Hydra's launchers: `hydra/launcher=joblib hydra.launcher.n_jobs=2`.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.words import describe, user_errors
from legged_cts.evaluation.compare.options import CompareOptions, split_words
from legged_cts.trust.names import take_trust


def main(argv: list[str]) -> int:
    """Compare; returns 1 if a run failed, 130 after Ctrl-C; a wrong word or file is one line and exit status 2."""
    if not argv or {"help", "-h", "--help"} & set(argv):
        print(f"{__doc__}\n{describe(CompareOptions)}")
        return 0 if argv else 2
    with user_errors():
        path, options, launcher = split_words(take_trust(argv))
        # Late, because a wrong word should be answered before torch is imported.
        from legged_cts.evaluation.compare.app import compare

        try:
            return compare(path, options, launcher=launcher)
        except KeyboardInterrupt:
            print("ended at once; the same command goes on from the last checkpoints", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
