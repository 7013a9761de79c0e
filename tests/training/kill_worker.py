"""Trains on the line environment and saves after every iteration, until it is killed: folder, iterations, [source]."""

import os
import sys
from pathlib import Path

from build import make_runner

from legged_cts.training.checkpoint import CheckpointError, latest_checkpoint
from legged_cts.training.random_state import seed_everything

folder, iterations = Path(sys.argv[1]), int(sys.argv[2])
try:
    source = latest_checkpoint(sys.argv[3] if len(sys.argv) > 3 else folder)
except CheckpointError:
    source = None
# What is not in the checkpoint would differ with the seed.
seed_everything(os.getpid() if source else 0)
runner = make_runner(folder, seed=os.getpid() if source else 0, save_interval=1, best_interval=1, keep=2)
if source:
    runner.load(str(source))
runner.learn(iterations - runner.current_learning_iteration, init_at_random_ep_len=source is None)
