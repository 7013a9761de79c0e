"""Measures a policy: `python scripts/evaluate.py checkpoint=logs/.../best_student.pt [terrain=rough] [episodes=100]`.

Every other word overrides the configuration stored in the checkpoint: physics=newton_mjwarp randomization=none seed=7
environments=64 pushes=0 runner.average_iterations=0 (the newest weights, not their mean) ...
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.words import describe, user_errors
from legged_cts.evaluation.options import EvaluateOptions, split_words
from legged_cts.trust.names import take_trust


def main(argv: list[str]) -> None:
    """Evaluate; a wrong word, checkpoint or policy is one line on stderr and exit status 2."""
    if {"help", "-h", "--help"} & set(argv):
        print(f"{__doc__}\n{describe(EvaluateOptions)}")
        return
    with user_errors():
        options, overrides = split_words(take_trust(argv))
        # Late, because a wrong word should be answered before torch is imported.
        from rich.console import Console

        from legged_cts.evaluation.app import evaluate

        evaluate(options, overrides, Console())


if __name__ == "__main__":
    main(sys.argv[1:])
