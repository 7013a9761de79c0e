"""Runs trainings and evaluations as processes of their own, a few at a time, each on its own cores."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any

from legged_cts import beside
from legged_cts.evaluation.compare.comparison import ComparisonError
from legged_cts.evaluation.compare.runs import EVALUATION, UNFINISHED, Run, check_record, write_record
from legged_cts.training.interrupt import GracefulStop
from legged_cts.training.run_folder import hold
from legged_cts.training.tables import duration

SCRIPTS = beside("scripts")
LOG = "run.log"
TAIL = 15
"""Lines of a failed run's log that are shown."""


@dataclass(frozen=True)
class Commands:
    """How a training and an evaluation are started; the words are appended."""

    train: tuple[str, ...] = (sys.executable, str(SCRIPTS / "train.py"))
    evaluate: tuple[str, ...] = (sys.executable, str(SCRIPTS / "evaluate.py"))


class Stage(Enum):
    """What a process does for its run."""

    TRAIN = "train"
    EVALUATE = "evaluate"


@dataclass
class Job:
    """A process at work."""

    run: Run
    stage: Stage
    cores: list[int]
    process: subprocess.Popen[Any]
    began: float
    """When the run's first process started, in seconds."""


@dataclass(frozen=True)
class Outcome:
    """How the runs ended."""

    failed: list[Run]
    stopped: bool
    """Whether Ctrl-C or a signal ended it early."""


def share_cores(cores: Sequence[int], jobs: int) -> list[list[int]]:
    """Return each job's own cores, equally many; what is left over stays idle, so that all runs are alike.

    Raises:
        ComparisonError: If there are fewer cores than jobs.
    """
    if jobs < 1:
        raise ComparisonError(f"jobs: must be at least 1, got {jobs}")
    size = len(cores) // jobs
    if size == 0:
        raise ComparisonError(
            f"jobs={jobs}: there are {len(cores)} cores, and runs that share one slow each other down several times; "
            f"give at most jobs={len(cores)}"
        )
    return [list(cores[index * size : (index + 1) * size]) for index in range(jobs)]


def run_all(
    runs: Sequence[Run],
    jobs: int = 1,
    commands: Commands | None = None,
    stream: IO[str] | None = None,
    poll_s: float = 0.2,
) -> Outcome:
    """Train and evaluate what is not there yet, in the order given, and print one line per event.

    A run that fails is reported and the others go on. The first SIGINT or SIGTERM lets every child save and end.

    Args:
        runs: All runs; finished ones are left alone, interrupted ones resumed.
        jobs: How many at a time.
        commands: How to train and evaluate.
        stream: Where to print, stdout by default.
        poll_s: Seconds between two looks at the processes.

    Raises:
        ComparisonError: If a run's folder holds something else, or there are too few cores.
    """
    shares = deque(share_cores(sorted(os.sched_getaffinity(0)), jobs))
    for run in runs:
        check_record(run)
    waiting = deque(run for run in runs if not run.finished)
    progress = _Progress(len(runs), len(runs) - len(waiting), jobs, stream or sys.stdout)
    commands = commands or Commands()
    active: list[Job] = []
    failed: list[Run] = []
    told = False
    with GracefulStop() as stop:
        try:
            while active or (waiting and not stop.requested):
                while shares and waiting and not stop.requested:
                    active.append(_start(waiting.popleft(), shares.popleft(), commands, time.monotonic()))
                    progress.started(active[-1], active)
                if stop.requested and not told:
                    told = True
                    for job in active:
                        job.process.send_signal(signal.SIGINT)
                for job in [job for job in active if job.process.poll() is not None]:
                    active.remove(job)
                    if stop.requested:
                        continue
                    advanced = take_over(job.run, job.stage, job.process.returncode)
                    if advanced and not job.run.finished:
                        active.append(_start(job.run, job.cores, commands, job.began))
                        continue
                    shares.append(job.cores)
                    if advanced:
                        progress.finished(job, waiting, active)
                    else:
                        failed.append(job.run)
                        progress.failed(job)
                time.sleep(poll_s if active else 0.0)
        finally:
            _end(active)
    return Outcome(failed, stop.requested)


def command_of(run: Run, stage: Stage, cores: int, commands: Commands) -> list[str]:
    """Return the command line that does the next stage of a run, on so many cores."""
    threads = f"solver.threads={cores}"
    if stage is Stage.EVALUATE:
        return [
            *commands.evaluate,
            "response=false",
            f"checkpoint={run.checkpoint}",
            f"output={run.folder / UNFINISHED}",
            f"episodes={run.episodes}",
            f"duration={run.duration}",
            threads,
            *run.evaluation,
        ]
    if run.started:
        return [*commands.train, f"resume='{run.folder}'", threads]
    own = [f"seed={run.seed}", threads, "evaluation.enabled=false", f"hydra.run.dir='{run.folder}'"]
    return [*commands.train, *run.overrides, *own]


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder for one comparison at a time.

    Children inherit the lock, so that a comparison that was killed cannot be started again while they still train.

    Raises:
        ComparisonError: If it is held.
    """
    try:
        held = hold(folder, inheritable=True)
    except BlockingIOError as error:
        raise ComparisonError(
            f"{folder}: a comparison, or a training that it left behind, still runs in this folder"
        ) from error
    with held:
        yield


def start_stage(run: Run, threads: int, commands: Commands, **options: Any) -> tuple[Stage, subprocess.Popen[Any]]:
    """Start the process of the next stage of a run, with its output in the run's log.

    Args:
        run: The run.
        threads: Of the solver and of torch.
        commands: How to train and evaluate.
        **options: Of ``subprocess.Popen``.
    """
    stage = Stage.EVALUATE if run.trained else Stage.TRAIN
    command = command_of(run, stage, threads, commands)
    write_record(run)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with (run.folder / LOG).open("ab") as log:
        log.write(f"$ {shlex.join(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, **options
        )
    return stage, process


def take_over(run: Run, stage: Stage, status: int) -> bool:
    """Take over what a process left that ended with ``status``; returns whether it did its stage."""
    if status:
        return False
    if stage is Stage.TRAIN:
        return run.trained
    table = run.folder / UNFINISHED / EVALUATION
    if table.is_file():
        os.replace(table, run.folder / EVALUATION)
        shutil.rmtree(table.parent)
    return run.finished


def failure(run: Run, stage: Stage, status: int) -> str:
    """Return what became of a run, with the end of its log."""
    log = run.folder / LOG
    what = f"ended with status {status}" if status else "ended before it was done"
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    return "\n".join([f"{run.name}: {stage.value} {what}; the end of {log}:", *(f"    {line}" for line in lines)])


def _start(run: Run, cores: list[int], commands: Commands, began: float) -> Job:
    stage, process = start_stage(
        run,
        len(cores),
        commands,
        close_fds=False,  # the lock
        # In a group of its own it gets a Ctrl-C from here alone, once.
        start_new_session=True,
        # There is one thread, so code between fork and exec is safe; from inside, every thread inherits it.
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return Job(run, stage, cores, process, began)


def _end(active: Sequence[Job]) -> None:
    """End processes that are left after an error or a second Ctrl-C, with what they started."""
    for job in active:
        if job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()


class _Progress:
    """One line per event, with the time that is left as far as finished runs tell."""

    def __init__(self, total: int, done: int, jobs: int, stream: IO[str]) -> None:
        self._total, self._done, self._jobs, self._stream = total, done, jobs, stream
        self._times: list[float] = []
        if done:
            self._print(f"{done} of {total} runs are there already")

    def started(self, job: Job, active: Sequence[Job]) -> None:
        verb = "evaluation" if job.stage is Stage.EVALUATE else "resumed" if job.run.started else "started"
        cores = ",".join(map(str, job.cores))
        self._print(f"{job.run.name}: {verb} on core {cores}, {job.run.folder / LOG}")

    def finished(self, job: Job, waiting: Sequence[Run], active: Sequence[Job]) -> None:
        now = time.monotonic()
        self._done += 1
        self._times.append(now - job.began)
        mean = sum(self._times) / len(self._times)
        left = mean * len(waiting) + sum(max(mean - (now - other.began), 0.0) for other in active)
        eta = f"; eta {duration(left / self._jobs)}" if waiting or active else ""
        self._print(f"{job.run.name}: done in {duration(self._times[-1])}{eta}")

    def failed(self, job: Job) -> None:
        self._done += 1
        self._print(failure(job.run, job.stage, job.process.returncode))

    def _print(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} [{self._done}/{self._total}] {text}", file=self._stream, flush=True)
