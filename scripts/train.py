"""Trains a policy: `python scripts/train.py robot=go2 terrain=flat [max_iterations=500] [resume=logs/...]`.

Any leaf of tasks/train.yaml can be overridden; `--multirun seed=1,2,3` trains one run after the other. Several
processes train one policy together with `torchrun --nproc-per-node=2 scripts/train.py ...`: docs/many_processes.md.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from legged_cts.training.app import (
    check_options,
    choose_morphology,
    resolve_task,
    resume_into_run_dir,
    run_jobs_apart,
    train,
    user_errors,
)
from legged_cts.training.distributed import rank_words, together
from legged_cts.trust.names import take_trust

CHOSEN: list[str] = []
"""Words that nobody gave, but that follow from the robot."""


@hydra.main(config_path="../tasks", config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Check the configuration, then train."""
    job = HydraConfig.get()
    # Without the chosen pack: it is for composition, and must not replace what a checkpoint to resume was trained with.
    overrides = [word for word in job.overrides.task if word not in CHOSEN]
    run_dir = Path(job.runtime.output_dir)
    with user_errors():
        config = resolve_task(cfg, overrides)
        if job.mode == RunMode.MULTIRUN:
            run_jobs_apart(sys.argv, overrides, run_dir)
        else:
            train(config, run_dir)


if __name__ == "__main__":
    with user_errors():
        sys.argv = take_trust(sys.argv)
        check_options(sys.argv[1:])
        CHOSEN += choose_morphology(sys.argv)
    with user_errors(), together() as processes:
        sys.argv = [*resume_into_run_dir(sys.argv), *CHOSEN, *rank_words(processes)]
        main()
