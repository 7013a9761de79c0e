"""Measures a policy: `python scripts/evaluate.py checkpoint=logs/.../best_student.pt [terrain=rough] [episodes=100]`.

Every other word overrides the configuration stored in the checkpoint: physics=newton_mjwarp randomization=none seed=7
env.scene.num_envs=64 env.pushes.enabled=false runner.average_iterations=0 (the newest weights, not their mean) ...
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from rich.console import Console

from legged_cts.deploy.words import describe
from legged_cts.evaluation.app import EvaluateOptions, evaluate, split_words
from legged_cts.training.app import user_errors
from legged_cts.trust.names import take_trust


def main(argv: list[str]) -> None:
    """Evaluate; a wrong word, checkpoint or policy is one line on stderr and exit status 2."""
    if {"help", "-h", "--help"} & set(argv):
        print(f"{__doc__}\n{describe(EvaluateOptions)}")
        return
    with user_errors():
        options, overrides = split_words(take_trust(argv))
        evaluate(options, overrides, Console())


if __name__ == "__main__":
    main(sys.argv[1:])
