import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from task_files import algorithm_file
from tensordict import TensorDict

from legged_cts.deploy.contract import ContractError, check
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.envs.privileged import resolve_privileged
from legged_cts.export.checkpoint import checkpoint_contract, export_checkpoint
from legged_cts.robots.proprioception import term_sizes
from legged_cts.robots.spec import load_robot
from legged_cts.training.checkpoint import save_checkpoint
from legged_cts.training.trained import construct_algorithm

ROOT = Path(__file__).resolve().parents[2]
PRIVILEGED = 50


def _content(algorithm: str) -> dict[str, Any]:
    spec = load_robot("go2")
    config = algorithm_file(algorithm)
    for network in config["networks"].values():
        network["hidden_dims"] = [32, 16]
    config |= {
        "robot": "go2",
        "terrain": {"name": "flat", "type": "plane"},
        "env": {
            "decimation": 4,
            "sim": {"dt": 0.005},
            "actions": {"scale": None, "clip": 100.0},
            "observations": {"privileged": {}},
        },
    }
    resolve_privileged(config)
    sizes = term_sizes(12)
    info = {
        "proprioception_terms": [[name, size, 0.5] for name, size in sizes.items()],
        "proprioception": 45,
        "history_length": 5,
        "privileged": PRIVILEGED,
        "actions": 12,
        "joints": list(spec.joints),
        "robot_hash": spec.hash,
        "command_ranges": {"lin_vel_x": [-1.0, 1.0], "lin_vel_y": [-0.5, 0.5], "ang_vel_z": [-1.0, 1.0]},
    }
    return {"config": config, "env_info": info, "iter": 7, "total_steps": 7 * 24 * 64}


def _trained(algorithm: str, path: Path, student_encoder: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
    """A checkpoint whose weights and normalisation are not the fresh ones, and the algorithm that wrote it."""
    torch.manual_seed(3)
    content = _content(algorithm)
    if student_encoder is not None:
        content["config"]["networks"]["student_encoder"] = student_encoder
    alg = construct_algorithm(content)
    for _ in range(3):
        observations = {"proprioception": (64, 45), "history": (64, 5, 45), "privileged": (64, PRIVILEGED)}
        obs = TensorDict({k: 2 * torch.randn(*s) + 1 for k, s in observations.items()}, batch_size=[64])
        alg.actor.update_normalization(obs)
    content |= alg.save()
    save_checkpoint(path, content)
    alg.eval_mode()
    return alg, content


def test_the_student_of_a_cts_checkpoint(tmp_path: Path) -> None:
    alg, _ = _trained("cts", tmp_path / "model_7.pt")
    path, contract = export_checkpoint(tmp_path / "model_7.pt")
    assert path == tmp_path / "policy.onnx"
    check(contract, load_robot("go2"))
    assert (contract.trained_steps, contract.algorithm, contract.terrain) == (7 * 24 * 64, "CTS", "flat")
    assert contract.control_dt == 0.02 and contract.observations[3] == ("joint_pos", 12, 0.5)
    frames = torch.randn(9, 45)
    history = frames[:1].repeat(5, 1)
    policy = OnnxPolicy(path)
    for frame in frames:
        history = torch.cat((history[1:], frame[None]))
        expected = alg.student_policy()(frame[None], history[None])[0].detach()
        torch.testing.assert_close(torch.from_numpy(policy.act(frame.numpy())), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("cell", "layers", "size"), [("gru", 1, 8), ("lstm", 2, 32)])
def test_a_recurrent_student_of_a_cts_checkpoint(tmp_path: Path, cell: str, layers: int, size: int) -> None:
    encoder = {"class_name": "legged_cts.models.recurrent:RecurrentEncoder", "hidden_size": 8}
    alg, _ = _trained("cts", tmp_path / "model_7.pt", encoder | {"cell": cell, "layers": layers})
    path, contract = export_checkpoint(tmp_path / "model_7.pt")
    assert contract.state_size == size and contract.history_reset == "backfill"
    student, policy, state = alg.student_policy(), OnnxPolicy(path), torch.zeros(1, size)
    for step, frame in enumerate(torch.randn(9, 45)):
        if step == 5:
            policy.reset()
            state = torch.zeros_like(state)
        expected, state = student(frame[None], frame.expand(1, 5, 45), state)
        actions = torch.from_numpy(policy.act(frame.numpy()))
        torch.testing.assert_close(actions, expected[0].detach(), atol=1e-5, rtol=0)


def test_the_history_begins_as_in_training() -> None:
    content = _content("cts")
    assert checkpoint_contract(content).history_reset == "backfill"
    content["config"]["algorithm"]["history_reset"] = "zero"
    assert checkpoint_contract(content).history_reset == "zero"


def test_a_blind_ppo_checkpoint(tmp_path: Path) -> None:
    alg, _ = _trained("ppo", tmp_path / "model_7.pt")
    path, _ = export_checkpoint(tmp_path, tmp_path / "blind.onnx")
    frame = torch.randn(45)
    obs = TensorDict({"proprioception": frame[None], "privileged": torch.zeros(1, PRIVILEGED)}, batch_size=[1])
    expected = alg.get_policy()(obs)[0].detach()
    actions = torch.from_numpy(OnnxPolicy(path).act(frame.numpy()))
    torch.testing.assert_close(actions, expected, atol=1e-5, rtol=0)


def test_changed_robot_files_are_refused(tmp_path: Path) -> None:
    _, content = _trained("ppo", tmp_path / "model_7.pt")
    content["env_info"]["robot_hash"] = "f" * 16
    save_checkpoint(tmp_path / "model_7.pt", content)
    with pytest.raises(ContractError, match="robot_hash: the files of 'go2' changed since training"):
        export_checkpoint(tmp_path / "model_7.pt")


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    _, content = _trained("ppo", tmp_path / "model_7.pt")
    del content["env_info"]["command_ranges"]
    save_checkpoint(tmp_path / "model_7.pt", content)
    with pytest.raises(ValueError, match="there is no 'command_ranges'"):
        export_checkpoint(tmp_path / "model_7.pt")


def test_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _trained("cts", tmp_path / "model_7.pt")
    main = runpy.run_path(str(ROOT / "scripts" / "export.py"))["main"]
    assert main([f"checkpoint={tmp_path / 'model_7.pt'}", f"output={tmp_path / 'a.onnx'}"]) == 0
    assert "go2, CTS, 10752 steps" in capsys.readouterr().out and (tmp_path / "a.onnx").is_file()
    assert main([f"checkpoint={tmp_path / 'none.pt'}"]) == 2
    assert "none.pt" in capsys.readouterr().err
    assert main(["chekpoint=x"]) == 2
    assert "did you mean 'checkpoint'?" in capsys.readouterr().err
