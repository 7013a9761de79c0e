"""Replays a fault of a training: `python scripts/replay_fault.py file=logs/.../faults/120_0.pt [env.sim.dt=0.002]`.

Builds one world as it was, puts its state, takes the step and says whether it blows up again. Every other word
overrides the run's configuration.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
from dataclasses import dataclass

from legged_cts.deploy.words import describe, need_file, option, parse_words, user_errors
from legged_cts.task.words import check_overrides
from legged_cts.trust.names import take_trust


@dataclass(frozen=True)
class ReplayOptions:
    """The script's own words."""

    file: str = option("", "dump in the folder faults/ of a run")

    def __post_init__(self) -> None:
        """Refuse a file that is not there."""
        need_file("file", self.file)


def main(argv: list[str]) -> None:
    """Replay; a wrong word or file is one line on stderr and exit status 2."""
    if {"help", "-h", "--help"} & set(argv) or not argv:
        print(f"{__doc__}\n{describe(ReplayOptions)}")
        return
    with user_errors():
        argv = take_trust(argv)
        own = [word for word in argv if word.startswith("file=")]
        check_overrides([word for word in argv if word not in own], ("file",))
        options = parse_words(own, ReplayOptions)
        # Late, because a wrong word should be answered before torch is imported.
        from legged_cts.training.replay import load_fault, replay

        fault = load_fault(options.file)
        where = f"iteration {fault['iteration']}, world {fault['world']}, seed {fault['state']['seed']}"
        print(f"{fault['kind']} not finite: {where}")
        if fault["kind"] == "actions":
            print("the policy's output was not finite on the observation in the file; the world got a zero action")
        result = replay(fault, [word for word in argv if word not in own])
        print("blows up again" if result.exploded else f"no explosion; joints at {result.max_joint_speed:.2f} rad/s")
        for name, finite in result.finite.items():
            print(f"{name}: {'finite' if finite else 'not finite'}")


if __name__ == "__main__":
    main(sys.argv[1:])
