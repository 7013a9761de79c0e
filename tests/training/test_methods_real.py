"""Every algorithm of the task tree on the real environment: it trains, saves, exports and can be evaluated."""

import csv
import math

import pytest
from methods_run import ITERATIONS, NAMES, train_all

from legged_cts.evaluation.policies import checkpoint_policies
from legged_cts.export.checkpoint import export_checkpoint
from legged_cts.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All of them on one environment, which takes longer to build than one of them to train."""
    folder = tmp_path_factory.mktemp("methods")
    train_all(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_an_algorithm_trains_and_exports(trained, name):
    error = trained / name / "error.txt"
    assert not error.is_file(), error.read_text()
    with (trained / name / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == list(range(1, ITERATIONS + 1))
    assert all(math.isfinite(float(row["loss/value"])) for row in rows)
    assert float(rows[-1]["faults/skipped_updates"]) == 0.0
    checkpoint = load_checkpoint(trained / name / f"model_{ITERATIONS}.pt")
    assert checkpoint["total_steps"] == ITERATIONS * 24 * 16
    policies = checkpoint_policies(checkpoint, "cpu")
    assert "student" in policies
    if name == "teacher":
        with pytest.raises(ValueError, match="reads more than proprioception"):
            export_checkpoint(trained / name / f"model_{ITERATIONS}.pt", trained / "no.onnx")
    else:
        assert (trained / name / "policy.onnx").stat().st_size > 1000
