"""Processes that train one policy together, on one machine or many, as ``torchrun`` starts them."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from legged_cts import told

TIMEOUT_S = 600.0
"""How long a process waits for the others [s] before it gives up; ``LEGGED_CTS_TIMEOUT_S`` overrides."""

_TORCHRUN = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_NAME",
    "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    local_rank: int = 0
    """Rank among the processes of this machine."""
    world_size: int = 1
    local_world_size: int = 1
    """Number of processes on this machine."""

    @property
    def many(self) -> bool:
        """Whether there is more than one process."""
        return self.world_size > 1

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes and speaks for all."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """Return this process's device: with several processes the GPU of its local rank, or the CPU.

        Args:
            wanted: ``auto``, ``cpu`` or ``cuda``; a single process may also ask for a GPU by number.

        Raises:
            ValueError: If several processes are to share a GPU, or the machine has fewer GPUs than processes.
        """
        if not self.many:
            from legged_cts.envs.builder import resolve_device

            return resolve_device(wanted)
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        if wanted == "cpu":
            return wanted
        if wanted != "cuda":
            raise ValueError(f"device='{wanted}': with several processes each has its own GPU; use auto, cuda or cpu")
        if self.local_world_size > torch.cuda.device_count():
            raise ValueError(
                f"device: {self.local_world_size} processes on this machine, but {torch.cuda.device_count()} GPUs; "
                "start torchrun with a smaller --nproc-per-node, or give device=cpu"
            )
        return f"cuda:{self.local_rank}"

    def seed(self, seed: int, iteration: int = 0) -> int:
        """Return this process's own seed in [0, 2^31); rank 0 keeps the configured one for a run's start.

        Seeds of neighbouring runs and ranks do not meet, as they would with ``seed + rank``.
        """
        if self.is_main and iteration == 0:
            return seed
        return int(np.random.SeedSequence((seed, self.rank, iteration)).generate_state(1)[0] >> 1)

    def threads(self) -> int:
        """Return this process's share of the cores that it may use, at least 1."""
        return max(1, len(os.sched_getaffinity(0)) // self.local_world_size)

    def file(self, name: str) -> str:
        """Return a file name of this process's own: ``name`` on rank 0, ``<stem>.rank1.<ending>`` on rank 1."""
        path = Path(name)
        return name if self.is_main else f"{path.stem}.rank{self.rank}{path.suffix}"

    def told(self, command: str) -> str:
        """Return what a user types for a command (:func:`legged_cts.told`) with as many processes."""
        if not self.many:
            return told(command)
        nodes = self.world_size // self.local_world_size
        each = f"{f'--nnodes={nodes} ... ' if nodes > 1 else ''}--nproc-per-node={self.local_world_size}"
        return told(command, f"torchrun {each}")

    # Collectives on plain objects; every process must call them in the same order.

    def all[T](self, value: T) -> list[T]:
        """Return the values of all processes, in the order of their ranks."""
        if not self.many:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def gather[T](self, value: T) -> list[T] | None:
        """Return the values of all processes on rank 0, None on the others."""
        if not self.many:
            return [value]
        values: list[Any] | None = [None] * self.world_size if self.is_main else None
        dist.gather_object(value, values)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is true on any process."""
        if not self.many:
            return list(flags)
        total = torch.tensor(flags, dtype=torch.int)
        dist.all_reduce(total)
        return (total > 0).tolist()

    def mean(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the mean of each metric over the processes where it is a number; the keys are those of all."""
        if not self.many:
            return dict(metrics)
        everywhere = self.all(dict(metrics))
        result: dict[str, float] = {}
        for key in dict.fromkeys(key for one in everywhere for key in one):
            values = [one[key] for one in everywhere if key in one and not np.isnan(one[key])]
            result[key] = sum(values) / len(values) if values else float("nan")
        return result

    def check_equal(self, what: str, value: Any) -> None:
        """Check that a value is the same on all processes.

        Raises:
            ValueError: On every process, saying which ranks have what.
        """
        values = self.all(value)
        if any(one != values[0] for one in values):
            listed = ", ".join(f"{one} on rank {rank}" for rank, one in enumerate(values))
            raise ValueError(f"{what} must be the same on all processes, got {listed}")


def from_environment(environment: Mapping[str, str] | None = None) -> Processes:
    """Return what ``torchrun`` says about this process; a single one where it was not started so.

    Raises:
        ValueError: If there are several processes, but something that they need to find each other is missing.
    """
    environment = os.environ if environment is None else environment
    world = int(environment.get("WORLD_SIZE", "1"))
    if world < 2:
        return Processes()
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in environment]
    if missing:
        raise ValueError(
            f"WORLD_SIZE is {world}, but {', '.join(missing)} is not set; start several processes with torchrun"
        )
    rank, local = int(environment["RANK"]), int(environment["LOCAL_RANK"])
    return Processes(rank, local, world, int(environment.get("LOCAL_WORLD_SIZE", world)))


def single_environment() -> dict[str, str]:
    """Return the environment for a child process that is not one of those that train together."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _TORCHRUN and not name.startswith("TORCHELASTIC_")
    }


def join() -> Processes:
    """Meet the other processes, unless that has happened; without others do nothing.

    Tensors on GPUs travel by NCCL, those on the CPU and plain objects by gloo.

    Raises:
        ValueError: See :func:`from_environment` and :func:`time_limit`.
        torch.distributed.DistError: If the others do not come within the time limit.
    """
    processes = from_environment()
    if processes.many and not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        limit = timedelta(seconds=time_limit())
        dist.init_process_group(backend, rank=processes.rank, world_size=processes.world_size, timeout=limit)
    return processes


def time_limit() -> float:
    """Return how long a process waits for the others [s].

    Raises:
        ValueError: If ``LEGGED_CTS_TIMEOUT_S`` is no positive number.
    """
    given = os.environ.get("LEGGED_CTS_TIMEOUT_S", str(TIMEOUT_S))
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"LEGGED_CTS_TIMEOUT_S must be a positive number of seconds, got '{given}'")
    return seconds


def leave(failed: bool = False) -> None:
    """Part from the other processes.

    Args:
        failed: Whether this process cannot go on; the others then get an error at once instead of waiting for it.
    """
    if not dist.is_initialized():
        return
    if failed and "nccl" in dist.get_backend_config():
        # Destroying a group waits for what runs on the GPU, which may itself wait for the others.
        dist.distributed_c10d._abort_process_group()
    else:
        dist.destroy_process_group()


@contextmanager
def together() -> Iterator[Processes]:
    """Join, and leave at the end, whatever ends it.

    A process that fails while it waits for the others says so: the cause is most likely in another's output.
    """
    processes = join()
    failed = True
    try:
        _Start.time = datetime.fromisoformat(processes.all(_Start.time.isoformat())[0])
        yield processes
        failed = False
    except SystemExit as end:
        failed = end.code not in (None, 0)
        raise
    except RuntimeError:
        if dist.is_initialized():
            who = f"rank {processes.rank} of {processes.world_size}"
            print(f"{who} failed; if it lost its connection, the cause is in another's output", file=sys.stderr)
        raise
    finally:
        leave(failed)


class _Start:
    time = datetime.now()


def run_time(pattern: str) -> str:
    """Format the time at which the run started, which is that of rank 0 on all processes."""
    return _Start.time.strftime(pattern)


def rank_words(processes: Processes) -> list[str]:
    """Return what to append to a command line so that Hydra's own files of each process do not collide."""
    if processes.is_main:
        return []
    return ["hydra.output_subdir=null", f"hydra.job.name=train.rank{processes.rank}"]


def own_state[T](states: Sequence[T], processes: Processes) -> tuple[T, bool]:
    """Return which of the states that were saved per rank this process continues, and whether that is exact.

    With another number of processes than the states are from, ranks take them in turn.
    """
    return states[processes.rank % len(states)], len(states) == processes.world_size


def to_cpu(tree: Any) -> Any:
    """Copy the tensors of nested dicts, lists and tuples to the CPU, so that rank 0 can hold those of other GPUs."""
    if isinstance(tree, torch.Tensor):
        return tree.cpu()
    if isinstance(tree, Mapping):
        return {key: to_cpu(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(to_cpu(value) for value in tree)
    return tree


def fingerprint(tree: Any) -> str:
    """Hash the bits of all tensors in nested dicts, lists and tuples."""
    digest = hashlib.sha256()

    def add(node: Any) -> None:
        if isinstance(node, torch.Tensor):
            digest.update(node.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(node, Mapping):
            for value in node.values():
                add(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                add(value)

    add(tree)
    return digest.hexdigest()[:16]
