"""Work in processes of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def each(work: Callable[..., T], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """Yields what the work returns for each job's arguments, in their order, as soon as it is there.

    Args:
        work: a function of a module; each process imports the caller's main module.
        jobs: arguments of each call.
        workers: processes; with one the work is done in this process.
    """
    if workers == 1:
        yield from (work(*job) for job in jobs)
        return
    # A forked child may inherit a lock which a thread of onnxruntime holds; a spawned one cannot.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, *zip(*jobs, strict=True))
