import copy
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from legged_cts.deploy.contract import ContractError, ObservationTerm, PolicyContract
from legged_cts.deploy.policy import OnnxNetwork, OnnxPolicy
from legged_cts.export import onnx as export
from legged_cts.export.onnx import ParityError, export_policy


class Student(nn.Module):
    def __init__(self, n: int = 12, length: int = 4, joints: int = 1) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(length * n, 16), nn.ELU(), nn.Linear(16, 8))
        self.actor = nn.Sequential(nn.Linear(n + 8, 32), nn.ELU(), nn.Dropout(0.5), nn.Linear(32, joints))

    def forward(self, proprioception: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        return self.actor(torch.cat((proprioception, nn.functional.normalize(self.encoder(history), dim=-1)), dim=-1))


class Recurrent(nn.Module):
    """A student whose encoder is a GRU or an LSTM over single frames; an LSTM's state is [h, c]."""

    def __init__(self, cell: str, n: int = 12, hidden: int = 8, joints: int = 1) -> None:
        super().__init__()
        self.rnn = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](n, hidden)
        self.parts = {"gru": 1, "lstm": 2}[cell]
        self.state_size = self.parts * hidden
        self.actor = nn.Sequential(nn.Linear(n + hidden, 32), nn.ELU(), nn.Linear(32, joints))

    def forward(
        self, proprioception: torch.Tensor, history: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [part.contiguous() for part in state[None].chunk(self.parts, dim=-1)]
        output, after = self.rnn(proprioception[None], parts[0] if self.parts == 1 else tuple(parts))
        after = after if self.parts == 1 else torch.cat(after, dim=-1)
        return self.actor(torch.cat((proprioception, output[0]), dim=-1)), after[0]


class Wrapped(nn.Module):
    """A policy that is exported through `as_onnx` and runs on TensorDicts otherwise."""

    def __init__(self, inner: Recurrent) -> None:
        super().__init__()
        self.inner, self.state_size = inner, inner.state_size

    def as_onnx(self) -> nn.Module:
        return copy.deepcopy(self.inner)


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


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("wrap", [Recurrent.eval, Wrapped])
def test_a_recurrent_policy_computes_what_the_module_does_over_steps(tmp_path: Path, cell: str, wrap: Any) -> None:
    torch.manual_seed(0)
    student = Recurrent(cell)
    contract = _contract(version=3, state_size=student.state_size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = export_policy(wrap(student), contract, tmp_path / "policy.onnx")
    assert 0 < written.parity_error < 1e-5 and written.state_size == student.state_size
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    frames = torch.randn(12, 12)
    state = torch.zeros(1, student.state_size)
    seen = []
    for step, frame in enumerate(frames):
        if step == 7:
            policy.reset()
            state = torch.zeros_like(state)
        with torch.inference_mode():
            expected, state = student(frame[None], torch.zeros(1, 4, 12), state)
        seen.append(policy.act(frame.numpy()))
        np.testing.assert_allclose(seen[-1], expected[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(policy.state, state[0].numpy(), atol=1e-5)
    # Without the reset the same frame gives another action.
    for frame in frames[:7]:
        policy.act(frame.numpy())
    assert np.abs(policy.act(frames[7].numpy()) - seen[7]).max() > 1e-3


def test_the_batch_of_a_recurrent_policy_is_free(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = Recurrent("lstm").eval()
    export_policy(student, _contract(version=3, state_size=16), tmp_path / "policy.onnx")
    network = OnnxNetwork(tmp_path / "policy.onnx")
    for batch in (1, 5, 300):
        values = torch.randn(batch, 12), torch.randn(batch, 4, 12), torch.randn(batch, 16)
        expected = student(*values)
        for got, wanted in zip(network.run(*(value.numpy() for value in values)), expected, strict=True):
            np.testing.assert_allclose(got, wanted.detach().numpy(), atol=1e-5)


def test_parity_follows_a_rollout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A state that drifts by 2e-6 per step is within the tolerance of one step, and not of many."""

    class Drifting(nn.Module):
        state_size, drift = 1, 0.0

        def forward(
            self, proprioception: torch.Tensor, history: torch.Tensor, state: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            state = state + 0.01 * proprioception[:, :1] + self.drift
            return 1.0 * state, state

    contract = _contract(version=3, state_size=1)
    written = export_policy(Drifting(), contract, tmp_path / "policy.onnx")
    assert written.parity_error < 2e-6
    other = Drifting()
    other.drift = 2e-6
    model = (tmp_path / "policy.onnx").read_bytes()
    steps = export.PARITY_STEPS
    assert export.parity(other, model, contract) == pytest.approx(2e-6 * steps, rel=0.1)
    monkeypatch.setattr(export, "PARITY_TOLERANCE", 2e-6 * (steps - 4))
    with pytest.raises(ParityError, match="outputs differ"):
        export.parity(other, model, contract)


@pytest.mark.parametrize(("cell", "stated"), [("gru", 0), ("lstm", 8)])
def test_a_state_size_that_is_not_the_policys_is_refused(tmp_path: Path, cell: str, stated: int) -> None:
    student = Recurrent(cell)
    with pytest.raises(ContractError, match=f"state_size: {stated} in the contract but {student.state_size}"):
        export_policy(student, _contract(version=3, state_size=stated), tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_a_feed_forward_file_has_no_state(tmp_path: Path) -> None:
    for version in (1, 3):
        export_policy(Student(), _contract(version=version), tmp_path / "policy.onnx")
        graph = onnx.load(tmp_path / "policy.onnx").graph
        assert [value.name for value in graph.input] == ["proprioception", "history"]
        assert [value.name for value in graph.output] == ["actions"]


def test_an_unread_state_stays_an_input(tmp_path: Path) -> None:
    class Forgetful(nn.Module):
        state_size = 2

        def forward(
            self, proprioception: torch.Tensor, history: torch.Tensor, state: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return proprioception[:, :1], proprioception[:, 1:3]

    export_policy(Forgetful(), _contract(version=3, state_size=2), tmp_path / "policy.onnx")
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    np.testing.assert_array_equal(policy.act(np.arange(12.0)), [0.0])
    np.testing.assert_array_equal(policy.state, [1.0, 2.0])


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
