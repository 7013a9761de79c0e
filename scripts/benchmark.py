"""Measure speed.

python scripts/benchmark.py physics [terrains=flat,rough] [envs=256,1024] [steps=100]
python scripts/benchmark.py train [against=<revision or folder>] [envs=default,1024] [iterations=10] [rounds=3] [...]
python scripts/benchmark.py update [sizes=small,paper] [envs=256,1024] [repetitions=5] [student=mlp] [symmetry=none]

`train` takes words of train.py as well.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

DEFAULTS = {
    "physics": {"terrains": "flat,rough", "envs": "256,1024", "steps": "100"},
    "train": {"against": "", "envs": "default,1024", "iterations": "10", "rounds": "3"},
    "update": {"sizes": "small,paper", "envs": "256,1024", "repetitions": "5", "student": "mlp", "symmetry": "none"},
}


def main(arguments: list[str]) -> None:
    """Run the benchmark that the first word names."""
    if not arguments or arguments[0] not in DEFAULTS:
        sys.exit(f"error: name a benchmark: {', '.join(DEFAULTS)}\n{__doc__}")
    words = dict(DEFAULTS[arguments[0]])
    overrides = []
    for argument in arguments[1:]:
        key, _, value = argument.partition("=")
        if arguments[0] == "train" and key not in words:
            overrides.append(argument)
            continue
        if key not in words or not value:
            sys.exit(f"error: '{argument}' is not one of {', '.join(f'{name}=...' for name in words)}")
        words[key] = value
    if arguments[0] == "train":
        from legged_cts.benchmarks.train import compare as compare_trainings

        sizes, against = words["envs"].split(","), words["against"] or None
        compare_trainings(overrides, sizes, int(words["iterations"]), int(words["rounds"]), against)
        return
    envs = [int(size) for size in words["envs"].split(",")]
    if arguments[0] == "physics":
        from legged_cts.benchmarks.physics import compare

        compare(words["terrains"].split(","), envs, int(words["steps"]))
    else:
        from legged_cts.benchmarks.update import compare_updates

        compare_updates(words["sizes"].split(","), envs, int(words["repetitions"]), words["student"], words["symmetry"])


if __name__ == "__main__":
    main(sys.argv[1:])
