"""Measure speed: ``python scripts/benchmark.py physics [terrains=flat,rough] [envs=256,1024] [steps=100]``."""

from __future__ import annotations

import sys

from legged_cts.benchmarks.physics import compare

DEFAULTS = {"terrains": "flat,rough", "envs": "256,1024", "steps": "100"}


def main(arguments: list[str]) -> None:
    """Run the benchmark that the first word names."""
    if not arguments or arguments[0] != "physics":
        sys.exit(f"error: name a benchmark: physics\n{__doc__}")
    words = dict(DEFAULTS)
    for argument in arguments[1:]:
        key, _, value = argument.partition("=")
        if key not in words or not value:
            sys.exit(f"error: '{argument}' is not one of {', '.join(f'{name}=...' for name in words)}")
        words[key] = value
    compare(words["terrains"].split(","), [int(size) for size in words["envs"].split(",")], int(words["steps"]))


if __name__ == "__main__":
    main(sys.argv[1:])
