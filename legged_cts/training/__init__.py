"""Training runs: checkpoints, exact resume, statistics per role, logs and the live display."""
