"""Trains a policy: `python scripts/train.py robot=go2 terrain=flat [max_iterations=500] [resume=logs/...]`.

Any leaf of tasks/train.yaml can be overridden; `seed=1,2,3 -m` trains one run after the other. Several processes train
one policy together with `torchrun --nproc-per-node=2 scripts/train.py ...`: docs/many_processes.md.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from legged_cts.deploy.words import user_errors
from legged_cts.training.command_line import CommandLine, check, composed, given, in_run_dir, read
from legged_cts.trust.names import take_trust

if TYPE_CHECKING:
    from omegaconf import DictConfig

GIVEN = CommandLine([])
"""The command line."""
CHOSEN: list[str] = []
"""Words that nobody gave, but that follow from the robot."""


def job(cfg: DictConfig) -> None:
    """Check the configuration, then train."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from legged_cts.train import resolve_task, run_job_apart, train

    hydra = HydraConfig.get()
    # Without the chosen pack: it is for composition, and must not replace what a checkpoint to resume was trained with.
    overrides = [word for word in hydra.overrides.task if word not in CHOSEN]
    if given(GIVEN.words, "resume"):
        overrides = [word for word in GIVEN.words if not word.startswith("hydra.")]
    run_dir = Path(hydra.runtime.output_dir)
    with user_errors():
        config = resolve_task(cfg, overrides)
        if hydra.mode == RunMode.MULTIRUN:
            run_job_apart(GIVEN, overrides, run_dir)
        else:
            train(config, run_dir)


if __name__ == "__main__":
    with user_errors():
        GIVEN = read(take_trust(sys.argv[1:]))
        # Before Hydra, torch and Isaac Lab are imported, which takes seconds.
        check(GIVEN)
    with user_errors():
        import hydra

        application = hydra.main(config_path="../tasks", config_name="train", version_base="1.3")(job)
        if GIVEN.shows_only:
            application()
            sys.exit()
        from legged_cts.train import pack_word
        from legged_cts.training.distributed import rank_words, together

        CHOSEN += pack_word(GIVEN)
    with user_errors(), together() as processes:
        words = [*composed(in_run_dir(GIVEN.words)), *CHOSEN, *rank_words(processes)]
        sys.argv = [sys.argv[0], *words, *GIVEN.flags]
        application()
