"""Measures how fast this machine trains, three ways, and how punctually it controls a robot.

`python scripts/benchmark.py physics [terrain=flat,rough] [environments=256,1024] [steps=100]`
`python scripts/benchmark.py train [against=<revision or folder>] [environments=default,1024] [iterations=10]
[rounds=3] [...]`
`python scripts/benchmark.py update [size=small,paper] [environments=256,1024] [repetitions=5] [student=mlp]
[symmetry=none]`
`python scripts/benchmark.py control [robot=go2] [policy=go2_flat] [steps=100000] [period=0.002] [beside=0]`

`train` takes words of train.py as well.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
from dataclasses import dataclass, fields

from legged_cts.deploy.words import WordError, describe, option, parse_words, user_errors
from legged_cts.task.words import check_overrides

_STUDENTS = ("mlp", "gru", "lstm", "moe")
_SYMMETRIES = ("none", "augment", "loss")


@dataclass(frozen=True)
class PhysicsOptions:
    """The words of `benchmark.py physics`."""

    terrain: str = option("flat,rough", "flat, rough or both")
    environments: str = option("256,1024", "numbers of environments")
    steps: int = option(100, "control steps to measure")


@dataclass(frozen=True)
class TrainOptions:
    """The words of `benchmark.py train`; every other word is one of train.py."""

    against: str | None = option(None, "revision or folder to compare with")
    environments: str = option("default,1024", "numbers of environments, or default")
    iterations: int = option(10, "iterations of each training")
    rounds: int = option(3, "trainings of each")


@dataclass(frozen=True)
class UpdateOptions:
    """The words of `benchmark.py update`."""

    size: str = option("small,paper", "small, paper or both")
    environments: str = option("256,1024", "numbers of environments")
    repetitions: int = option(5, "updates of each")
    student: str = option("mlp", ", ".join(_STUDENTS))
    symmetry: str = option("none", ", ".join(_SYMMETRIES))


@dataclass(frozen=True)
class ControlOptions:
    """The words of `benchmark.py control`."""

    robot: str = option("go2", "go2, g1, g1_12 or tron1")
    policy: str | None = option(None, "ONNX file, a folder with one, or a shipped policy's name; none is <robot>_flat")
    steps: int = option(100_000, "control periods")
    period: float = option(0.002, "from one to the next [s]; a robot's own is 0.02")
    beside: int = option(0, "processes that never rest on the same cores")


def main(argv: list[str]) -> None:
    """Run the benchmark that the first word names; a wrong word is one line on stderr and exit status 2."""
    if {"help", "-h", "--help"} & set(argv):
        kinds = (PhysicsOptions, TrainOptions, UpdateOptions, ControlOptions)
        print("\n\n".join([__doc__ or "", *map(describe, kinds)]))
        return
    with user_errors():
        which, words = (argv[0], argv[1:]) if argv else ("", [])
        if which == "physics":
            physics = parse_words(words, PhysicsOptions)
            terrains = chosen("terrain", physics.terrain, ("flat", "rough"))
            environments = numbers("environments", physics.environments)
            numbers("steps", str(physics.steps))
            from legged_cts.benchmarks.physics import compare

            compare(terrains, environments, physics.steps)
        elif which == "train":
            own = {field.name for field in fields(TrainOptions)}
            train = parse_words([word for word in words if word.partition("=")[0] in own], TrainOptions)
            sizes = train.environments.split(",")
            numbers("environments", ",".join(size for size in sizes if size != "default") or "1")
            numbers("iterations", f"{train.iterations},{train.rounds}")
            overrides = [word for word in words if word.partition("=")[0] not in own]
            check_overrides(overrides, own)
            from legged_cts.benchmarks.train import compare as compare_trainings

            compare_trainings(overrides, sizes, train.iterations, train.rounds, train.against)
        elif which == "update":
            update = parse_words(words, UpdateOptions)
            sizes = chosen("size", update.size, ("small", "paper"))
            environments = numbers("environments", update.environments)
            numbers("repetitions", str(update.repetitions))
            (student,) = chosen("student", update.student, _STUDENTS, 1)
            (symmetry,) = chosen("symmetry", update.symmetry, _SYMMETRIES, 1)
            from legged_cts.benchmarks.update import compare_updates

            compare_updates(sizes, environments, update.repetitions, student, symmetry)
        elif which == "control":
            control = parse_words(words, ControlOptions)
            numbers("steps", str(control.steps))
            if not 1e-4 <= control.period <= 1.0:
                raise WordError(f"period: expected 0.0001 to 1 s, got {control.period}")
            if not 0 <= control.beside <= 100:
                raise WordError(f"beside: expected 0 to 100, got {control.beside}")
            from legged_cts.benchmarks.control import compare as control_periods

            policy = control.policy or f"{control.robot}_flat"
            control_periods(control.robot, policy, control.steps, control.period, control.beside)
        else:
            raise WordError(f"name a benchmark first: physics, train, update or control, got '{which}'")


def chosen(key: str, text: str, allowed: tuple[str, ...], most: int = 100) -> list[str]:
    """Split a list of words, all of them allowed."""
    names = text.split(",")
    for name in names:
        if name not in allowed or len(names) > most:
            raise WordError(f"{key}='{text}' is unknown. Allowed: {', '.join(allowed)}")
    return names


def numbers(key: str, text: str) -> list[int]:
    """Split a list of whole numbers of at least 1."""
    found = [int(part) if part.isdecimal() and len(part) < 10 else 0 for part in text.split(",")]
    if min(found) < 1:
        raise WordError(f"{key}: expected whole numbers of at least 1, got '{text}'")
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
