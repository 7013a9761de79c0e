"""Two processes that meet by gloo, as long as a function runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


def run_pair(work: Callable[..., Any], folder: Path, *arguments: Any) -> tuple[Any, Any]:
    """Return what ``work(rank, *arguments)``, a function of a module, gives on rank 0 and on rank 1.

    Args:
        work: Returns tensors and plain values.
        folder: A folder for the results; it must be empty.
        arguments: More arguments.
    """
    torch.multiprocessing.spawn(_work, (str(folder), work, arguments), nprocs=2)
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    return first, second


def _work(rank: int, folder: str, work: Callable[..., Any], arguments: tuple) -> None:
    torch.set_num_threads(1)
    limit = timedelta(seconds=300)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=limit)
    try:
        torch.save(work(rank, *arguments), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def leaves(tree: Any) -> list[torch.Tensor]:
    """Return all tensors in nested dicts."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    return [tree] if isinstance(tree, torch.Tensor) else []
