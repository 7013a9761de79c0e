"""Small checkpoints: the networks alone, which do all but resume."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from test_export_checkpoint import ROOT, _trained

from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.export.checkpoint import export_checkpoint
from legged_cts.export.weights import export_weights
from legged_cts.robots.spec import assets_dir
from legged_cts.train import resumed_config
from legged_cts.training.checkpoint import CheckpointError, latest_checkpoint, load_checkpoint
from legged_cts.training.trained import trained_algorithm

SHIPPED = sorted(path.parent for path in (assets_dir() / "policies").glob("*/model.pt"))


def test_it_exports_the_same_policy_and_is_smaller(tmp_path: Path) -> None:
    whole = tmp_path / "model_7.pt"
    _trained("cts", whole)
    small = export_weights(whole, tmp_path / "small" / "model.pt")
    assert small.stat().st_size < whole.stat().st_size
    assert not [key for key in load_checkpoint(small) if "optimizer" in key]
    assert latest_checkpoint(small.parent) == small
    (one, _), (other, _) = export_checkpoint(whole), export_checkpoint(small)
    assert one.read_bytes() == other.read_bytes()


def test_it_does_not_take_the_place_of_a_whole_checkpoint(tmp_path: Path) -> None:
    whole = tmp_path / "model_7.pt"
    _trained("cts", whole)
    content = whole.read_bytes()
    with pytest.raises(ValueError, match="output: .*model_7.pt is a whole checkpoint"):
        export_weights(whole, whole)
    assert whole.read_bytes() == content
    assert export_weights(whole, export_weights(whole, tmp_path / "small.pt")).is_file()


def test_it_is_not_resumed(tmp_path: Path) -> None:
    whole = tmp_path / "model_7.pt"
    _trained("cts", whole)
    small = export_weights(whole, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="holds the networks alone; begin a new run from them: checkpoint="):
        resumed_config(str(small), [])


def test_the_script_writes_it_where_the_output_ends_in_pt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "model_7.pt"
    _trained("cts", whole)
    main = runpy.run_path(str(ROOT / "scripts" / "export.py"))["main"]
    assert main([f"checkpoint={whole}", f"output={tmp_path / 'b.pt'}"]) == 0
    assert "checkpoint=" in capsys.readouterr().out and load_checkpoint(tmp_path / "b.pt")["weights_only"] is True


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_one_is_small_and_holds_the_shipped_policy(folder: Path, tmp_path: Path) -> None:
    path = latest_checkpoint(folder.name)
    assert path == folder / "model.pt" and path.stat().st_size <= 3e6
    exported, contract = export_checkpoint(path, tmp_path / "policy.onnx")
    here, there = OnnxPolicy(exported), OnnxPolicy(folder / "policy.onnx")
    rng = np.random.default_rng(0)
    n = sum(term.size for term in contract.observations)
    for _ in range(3):
        frame = rng.normal(size=n)
        np.testing.assert_allclose(here.act(frame), there.act(frame), atol=1e-6)
    assert trained_algorithm(load_checkpoint(path)).has_teacher


def test_what_is_neither_file_nor_shipped_is_said() -> None:
    with pytest.raises(CheckpointError, match="there is no file or run folder go3_flat"):
        latest_checkpoint("go3_flat")
