"""Every algorithm of the task tree on the real environment: it trains, saves, exports and can be evaluated."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from legged_cts.evaluation.policies import checkpoint_policies
from legged_cts.export.checkpoint import export_checkpoint
from legged_cts.training.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "tasks" / "algorithm").glob("*.yaml"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One process for all, because an environment takes half a minute to build."""
    folder = tmp_path_factory.mktemp("methods")
    command = [sys.executable, str(Path(__file__).parent / "methods_worker.py"), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_an_algorithm_trains_and_exports(trained, name):
    error = trained / name / "error.txt"
    assert not error.is_file(), error.read_text()
    with (trained / name / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [1, 2, 3]
    assert all(math.isfinite(float(row["loss/value"])) for row in rows)
    assert float(rows[-1]["faults/skipped_updates"]) == 0.0
    checkpoint = load_checkpoint(trained / name / "model_3.pt")
    assert checkpoint["total_steps"] == 3 * 24 * 16
    policies = checkpoint_policies(checkpoint, "cpu")
    assert "student" in policies
    if name == "teacher":
        with pytest.raises(ValueError, match="reads more than proprioception"):
            export_checkpoint(trained / name / "model_3.pt", trained / "no.onnx")
    else:
        assert (trained / name / "policy.onnx").stat().st_size > 1000
