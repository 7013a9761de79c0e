"""What each process does under torchrun: several trainings on the tiny environment, and a note of how they went."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import torch
from build import make_runner
from line_env import LineEnv, stop_at_step

from legged_cts.training.distributed import Processes, run_time, together
from legged_cts.training.runner import Runner


def networks(runner: Runner) -> dict:
    """Return all parameters, buffers and optimizer states."""
    return runner.alg.save()


def trainings(processes: Processes, folder: Path) -> dict:
    """Train in all ways that end well, and return what this process saw."""
    rank = processes.rank
    whole = make_runner(folder / "whole", seed=rank, best_interval=1)
    whole.learn(6, init_at_random_ep_len=True)
    make_runner(folder / "parts", seed=rank).learn(3, init_at_random_ep_len=True)
    resumed = make_runner(folder / "parts", seed=90 + rank)
    resumed.load(str(folder / "parts" / "model_3.pt"))
    loaded = resumed.current_learning_iteration
    resumed.learn(3)
    ppo = make_runner(folder / "ppo", seed=rank, algorithm="ppo")
    ppo.learn(3)

    stopped = make_runner(folder / "stopped", seed=rank)
    if rank == 1:
        stop_at_step(stopped.env, 12)
    by_signal = stopped.learn(100_000).name
    late = make_runner(folder / "late", seed=rank)
    by_time = late.learn(100_000, max_minutes=0.005 if rank == 1 else None).name

    # A run of one process goes on with two, each with random numbers of its own.
    grown = make_runner(None, seed=5)
    grown.load(str(folder / "alone" / "model_2.pt"))
    draws = torch.rand(2)
    try:
        make_runner(None, env=partial(LineEnv, 8 + rank))
        refused = ""
    except ValueError as error:
        refused = str(error)
    return {
        "whole": networks(whole),
        "resumed": networks(resumed),
        "ppo": networks(ppo),
        "x": [whole.env.x, resumed.env.x],
        "loaded": loaded,
        "steps": whole.total_steps,
        "shown": [shown for _, shown in getattr(whole.display, "shown", [])],
        "endings": [by_signal, stopped.current_learning_iteration, by_time, late.current_learning_iteration],
        "grown": [grown.current_learning_iteration, grown.total_steps, draws],
        "refused": refused,
        "run_time": run_time("%H:%M:%S.%f"),
        "mean": processes.mean({"a": float(rank), "b": float("nan") if rank else 4.0, f"only{rank}": 7.0}),
        "any": processes.any(False, rank == 1, True),
    }


def main(scenario: str, folder: Path) -> None:
    """Run a scenario of two processes."""
    torch.set_num_threads(1)
    with together() as processes:
        if scenario == "trainings":
            torch.save(trainings(processes, folder), folder / f"{processes.rank}.pt")
        else:  # one process fails while the other goes on
            runner = make_runner(folder, seed=processes.rank)
            if processes.rank == 1:
                runner.env.fail_after = 8
            runner.learn(100_000)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
