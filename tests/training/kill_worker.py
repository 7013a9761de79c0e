"""Trains on the line environment and saves after every iteration, until it is killed: folder, iterations."""

import os
import sys
from pathlib import Path

from build import make_runner

from legged_cts.training.checkpoint import CheckpointError, latest_checkpoint
from legged_cts.training.random_state import seed_everything

folder, iterations = Path(sys.argv[1]), int(sys.argv[2])
try:
    newest = latest_checkpoint(folder)
except CheckpointError:
    newest = None
# What is not in the checkpoint would differ with the seed.
seed_everything(os.getpid() if newest else 0)
runner = make_runner(folder, seed=os.getpid() if newest else 0, save_interval=1, best_interval=1, keep=2)
if newest:
    runner.load(str(newest))
runner.learn(iterations - runner.current_learning_iteration, init_at_random_ep_len=newest is None)
