import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from legged_cts.deploy.contract import ContractError, ObservationTerm, PolicyContract
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.export import onnx as export
from legged_cts.export.onnx import ParityError, export_policy


class Student(nn.Module):
    def __init__(self, n: int = 12, length: int = 4, joints: int = 1) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(length * n, 16), nn.ELU(), nn.Linear(16, 8))
        self.actor = nn.Sequential(nn.Linear(n + 8, 32), nn.ELU(), nn.Dropout(0.5), nn.Linear(32, joints))

    def forward(self, proprioception: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        return self.actor(torch.cat((proprioception, nn.functional.normalize(self.encoder(history), dim=-1)), dim=-1))


def _contract(**changes: Any) -> PolicyContract:
    fields: dict[str, Any] = {
        "version": 1, "robot": "pendulum", "robot_hash": "0" * 16, "joints": ("hinge",),
        "default_joint_pos": (0.1,), "stiffness": (20.0,), "damping": (0.5,), "effort_limit": (10.0,),
        "action_scale": 0.25, "action_clip": 100.0, "control_dt": 0.02, "physics_dt": 0.005,
        "observations": (
            ObservationTerm("base_ang_vel", 3, 0.25), ObservationTerm("projected_gravity", 3, 1.0),
            ObservationTerm("command", 3, 1.0), ObservationTerm("joint_pos", 1, 1.0),
            ObservationTerm("joint_vel", 1, 0.05), ObservationTerm("last_action", 1, 1.0),
        ),
        "history_length": 4, "history_order": "oldest_first", "history_reset": "backfill",
        "command_ranges": {"lin_vel_x": (-1.0, 1.0), "lin_vel_y": (0.0, 0.0), "ang_vel_z": (0.0, 0.0)},
        "git_revision": "abc", "parity_error": 0.0, "trained_steps": 5, "algorithm": "CTS", "terrain": "flat",
    }  # fmt: skip
    return PolicyContract(**(fields | changes))


def test_the_file_computes_what_the_module_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = Student().train()
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    path = tmp_path / "new" / "policy.onnx"
    contract = export_policy(student, _contract(), path)

    assert student.training and all(torch.equal(before[k], v) for k, v in student.state_dict().items())
    assert 0 < contract.parity_error < 1e-5
    policy = OnnxPolicy(path)
    assert policy.contract == contract == dataclasses.replace(_contract(), parity_error=contract.parity_error)
    frames = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    student.eval()
    history = np.repeat(frames[:1], 4, axis=0)
    for frame in frames:
        history = np.concatenate((history[1:], frame[None]))
        with torch.inference_mode():
            expected = student(torch.from_numpy(frame)[None], torch.from_numpy(history)[None])[0]
        np.testing.assert_allclose(policy.act(frame), expected.numpy(), atol=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ["policy.onnx"]


def test_a_difference_is_refused_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PARITY_TOLERANCE", 0.0)
    path = tmp_path / "policy.onnx"
    path.write_bytes(b"the old one")
    with pytest.raises(ParityError, match="differ from torch's by"):
        export_policy(Student(), _contract(), path)
    assert path.read_bytes() == b"the old one" and len(list(tmp_path.iterdir())) == 1


def test_parity_sees_other_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = Student().eval()
    export_policy(student, _contract(), tmp_path / "policy.onnx")
    with torch.no_grad():
        student.actor[0].bias += 1e-2  # type: ignore[operator]
    with pytest.raises(ParityError):
        export.parity(student, (tmp_path / "policy.onnx").read_bytes(), _contract())


def test_actions_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    student = Student()
    with torch.no_grad():
        student.actor[-1].bias.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(ParityError, match="nan"):
        export_policy(student, _contract(), tmp_path / "policy.onnx")


def test_an_unread_history_stays_an_input(tmp_path: Path) -> None:
    class Blind(Student):
        def forward(self, proprioception: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
            return self.actor[0](torch.cat((proprioception, proprioception[:, :8]), dim=-1))[:, :1]

    export_policy(Blind(), _contract(), tmp_path / "policy.onnx")
    assert OnnxPolicy(tmp_path / "policy.onnx").act(np.zeros(12)).shape == (1,)


def test_a_module_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"'actions' has the shape \[2\], the contract says \[1\]"):
        export_policy(Student(joints=2), _contract(), tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())
