"""Runs the trainings of a comparison through one of Hydra's launchers: joblib here, submitit on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from legged_cts.evaluation.compare.comparison import ComparisonError
from legged_cts.evaluation.compare.jobs import Commands, Outcome, failure, start_stage, take_over
from legged_cts.evaluation.compare.runs import Run, check_record
from legged_cts.task.words import TASKS


def launch_all(runs: Sequence[Run], words: Sequence[str], threads: int, commands: Commands | None = None) -> Outcome:
    """Train and evaluate what is not there yet, each run a job of a launcher; returns when all jobs have ended.

    What runs where, how many at a time and what happens to jobs when this process ends is the launcher's affair.

    Args:
        runs: All runs; finished ones are left alone, interrupted ones resumed.
        words: Choice and settings of the launcher, such as ``hydra/launcher=joblib``.
        threads: Of each run's solver.
        commands: How to train and evaluate.

    Raises:
        ComparisonError: If there is no such launcher, a word is wrong, or a run's folder holds something else.
    """
    from hydra import initialize_config_dir
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.errors import HydraException
    from hydra.types import HydraContext, RunMode

    for run in runs:
        check_record(run)
    waiting = [run for run in runs if not run.finished]
    if not waiting:
        return Outcome([], stopped=False)
    folder = waiting[0].folder.parents[1] / "jobs"
    own = [f"hydra.sweep.dir='{folder}'", "hydra.output_subdir=null"]
    try:
        with initialize_config_dir(str(TASKS), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            config = loader.load_configuration("train", [*words, *own], RunMode.MULTIRUN)
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
                task_function=partial(_job, waiting, threads, commands or Commands()),
                config=config,
            )
            launcher.launch([[f"seed={run.seed}"] for run in waiting], initial_job_idx=0)
    except HydraException as error:
        raise ComparisonError(str(error)) from error
    return Outcome([run for run in waiting if not run.finished], stopped=False)


def _job(waiting: Sequence[Run], threads: int, commands: Commands, _config: Any) -> None:
    """Do what a run still needs, in a process of the launcher's."""
    from hydra.core.hydra_config import HydraConfig

    run = waiting[HydraConfig.get().job.num]
    while not run.finished:
        stage, process = start_stage(run, threads, commands)
        if not take_over(run, stage, process.wait()):
            raise RuntimeError(failure(run, stage, process.returncode))
