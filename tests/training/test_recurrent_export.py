"""A recurrent student from training to the robot: every stage gives the same actions, resets included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from build import Silent
from deploy_policies import make_contract
from line_env import H, LineEnv

from legged_cts.algorithms.config import runner_cfg
from legged_cts.deploy.contract import ObservationTerm, PolicyContract
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.evaluation.policies import checkpoint_policies
from legged_cts.export.checkpoint import student_policy
from legged_cts.export.onnx import export_policy
from legged_cts.training.checkpoint import load_checkpoint
from legged_cts.training.compose import compose_task, plain
from legged_cts.training.runner import Runner

HIDDEN = 6


def line_contract(state_size: int) -> PolicyContract:
    """The contract of a robot with one joint that sees nothing but its angle."""
    one = dict.fromkeys(("default_joint_pos", "stiffness", "damping", "effort_limit"), (1.0,))
    terms = (ObservationTerm("joint_pos", 1, 1.0),)
    return make_contract(
        version=3, robot="line", joints=("slider",), observations=terms, history_length=H, state_size=state_size, **one
    )


@pytest.fixture(scope="module", params=["gru", "lstm"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Runner, Path]:
    """A runner after three iterations, and its folder with the checkpoint and the exported policy."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(1)
    config = plain(compose_task(["symmetry=none"]))
    for node in config["networks"].values():
        node["hidden_dims"] = [16]
    config["networks"]["actor"]["latent_dim"] = 4
    config["networks"]["student_encoder"] = {
        "class_name": "legged_cts.models.recurrent:RecurrentEncoder", "cell": request.param, "hidden_size": HIDDEN,
    }  # fmt: skip
    config["runner"].update(num_steps_per_env=5)
    config["runner"]["obs_groups"].update(critic=["privileged"], teacher=["privileged"])
    info = {"proprioception": 1, "history_length": H, "privileged": 2, "actions": 1}
    train_cfg = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    runner = Runner(
        LineEnv(), train_cfg, str(folder), "cpu", config={**config, "logger": "none"}, env_info=info, display=Silent()
    )
    runner.learn(3)
    student = student_policy(load_checkpoint(folder / "model_3.pt"))
    export_policy(student, line_contract({"gru": HIDDEN, "lstm": 2 * HIDDEN}[request.param]), folder / "policy.onnx")
    runner.alg.eval_mode()
    return runner, folder


def test_the_robots_policy_acts_as_the_trained_one(trained: tuple[Runner, Path]) -> None:
    runner, folder = trained
    expected, policy = runner.alg.student_policy(), OnnxPolicy(folder / "policy.onnx")
    env = LineEnv(num_envs=1, episode=100)
    expected.reset()
    frames, states = [], []
    for step in range(16):
        if step == 9:
            expected.reset()
            policy.reset()
        obs = env.get_observations()
        with torch.no_grad():
            actions = expected(obs)
        frames.append(obs["proprioception"][0].numpy())
        np.testing.assert_allclose(policy.act(frames[-1]), actions[0].numpy(), atol=1e-5)
        states.append(policy.state)
        env.step(actions)
    # The reset mattered: with the state of the step before, the same frame would give another one.
    policy.reset()
    for frame in frames[:10]:
        policy.act(frame)
    assert np.abs(policy.state - states[9]).max() > 1e-3


def test_checkpoint_and_file_evaluate_alike_where_episodes_end(trained: tuple[Runner, Path]) -> None:
    _, folder = trained
    torch.manual_seed(2)
    rebuilt = checkpoint_policies(load_checkpoint(folder / "model_3.pt"), "cpu")["student"]
    exported = OnnxPolicy(folder / "policy.onnx")
    env = LineEnv(num_envs=5, episode=7)
    env.episode_length_buf = torch.arange(5)
    ends = 0
    with torch.inference_mode():
        for _ in range(20):
            obs = env.get_observations()
            actions = rebuilt(obs)
            torch.testing.assert_close(exported(obs), actions, atol=1e-5, rtol=0)
            dones = env.step(actions)[2]
            ends += int(dones.sum())
            for policy in (rebuilt, exported):
                policy.reset(dones)
    assert ends > 5
