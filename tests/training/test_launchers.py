"""Several runs of one command line through a launcher of Hydra that starts processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["max_iterations=1", "env.scene.num_envs=8", "evaluation.enabled=false", "solver.threads=1", "logger=none"]


def test_two_seeds_at_a_time(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "seed=1,2", *TINY, f"hydra.sweep.dir={tmp_path}"]
    command += ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    for number, seed in ((0, 1), (1, 2)):
        folder = tmp_path / str(number)
        assert (folder / "policy.onnx").is_file() and (folder / "model_1.pt").is_file()
        assert f"seed: {seed}\n" in (folder / "config.yaml").read_text()
