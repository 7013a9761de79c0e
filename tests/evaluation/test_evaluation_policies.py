"""Policies with a state in the evaluation: one state per environment, forgotten where its episode ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from deploy_policies import COUNT_GAIN, make_contract, make_recurrent_contract, write_counting_policy
from tensordict import TensorDict

from legged_cts.deploy.contract import ContractError
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.evaluation.policies import check_task, contract_overrides
from legged_cts.evaluation.rollout import evaluation_config, run_episodes
from legged_cts.robots.spec import assets_dir
from legged_cts.training.compose import compose_task, plain
from legged_cts.training.env_info import task_info

ENVS, STEPS, JOINTS = 4, 6, 12


def observations(first: list[float]) -> TensorDict:
    proprioception = torch.zeros(len(first), 45)
    proprioception[:, 0] = torch.tensor(first)
    history = torch.zeros(len(first), 3, 45)
    return TensorDict({"proprioception": proprioception, "history": history}, batch_size=[len(first)])


class FallingEnv:
    """What `run_episodes` needs of an environment; in each round, environment `i` falls at the step `falls[i]`."""

    def __init__(self, falls: dict[int, int]) -> None:
        self.num_envs, self.device = ENVS, "cpu"
        self.step_dt, self.max_episode_length = 0.02, STEPS
        self.robot_spec = SimpleNamespace(total_mass=10.0)
        flat = SimpleNamespace(terrain_type="plane", terrain_generator=None)
        self.scene = SimpleNamespace(env_origins=torch.zeros(ENVS, 3), terrain=SimpleNamespace(cfg=flat))
        self.command = torch.zeros(ENVS, 3)
        self.progress = SimpleNamespace(passed=torch.zeros(ENVS, dtype=torch.bool))
        velocity = SimpleNamespace(
            cfg=SimpleNamespace(resampling_time_range=(5.0, 5.0)), time_left=torch.full((ENVS,), 5.0)
        )
        self.command_manager = SimpleNamespace(get_term=lambda _: velocity)
        self.termination_manager = SimpleNamespace(
            num_envs=ENVS,
            device="cpu",
            active_terms=["nan_state", "time_out", "tilt"],
            get_term=lambda name: self.fell if name == "tilt" else ~self.fell,
            get_term_cfg=lambda name: SimpleNamespace(time_out=name == "time_out"),
        )
        upright = torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(ENVS, 1)
        zeros = {name: torch.zeros(ENVS, 3) for name in ("root_pos_w", "lin_vel_b", "ang_vel_b")}
        zeros |= {name: torch.zeros(ENVS, JOINTS) for name in ("joint_torque", "joint_vel")}
        feet = {"foot_vel_w": torch.zeros(ENVS, 4, 3), "foot_force": torch.zeros(ENVS, 4)}
        self.state = SimpleNamespace(root_quat_w=upright, **zeros, **feet)
        still = torch.zeros(ENVS, JOINTS)
        self.joint_action = SimpleNamespace(action=still, previous_action=still)
        self.fell = torch.zeros(ENVS, dtype=torch.bool)
        self.actions: list[torch.Tensor] = []
        """What the policy did in the rounds since the start, per step [N, d]."""
        self._falls, self._step = falls, 0

    @property
    def unwrapped(self) -> FallingEnv:
        return self

    def seed(self, seed: int) -> None:
        pass

    def reset(self) -> tuple[TensorDict, dict]:
        self._step = 0
        return observations([0.0] * ENVS), {}

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        self.actions.append(actions)
        self.fell = torch.tensor([self._falls.get(i) == self._step for i in range(ENVS)])
        self._step += 1
        return observations([0.0] * ENVS), torch.zeros(ENVS), self.fell.long(), {}


def counts(env: FallingEnv) -> list[list[int]]:
    """Steps since the reset as the policy counted them, per step and environment."""
    return [[round(float(row[0]) / COUNT_GAIN) for row in actions] for actions in env.actions]


def test_an_episodes_end_resets_the_state_of_its_environment_alone(tmp_path):
    env = FallingEnv({1: 2, 3: 0})
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx"))
    run_episodes(env, policy, 2 * ENVS, seed=0)
    # What was done at the step after a fall is the first of the new episode; the second round begins anew.
    once = [[1, 1, 1, 1], [2, 2, 2, 1], [3, 3, 3, 2], [4, 1, 4, 3], [5, 2, 5, 4], [6, 3, 6, 5]]
    assert counts(env) == once + once


def test_without_resets_the_states_run_on(tmp_path):
    class Endless(OnnxPolicy):
        def reset(self, dones: Any = None) -> None:
            pass

    env = FallingEnv({1: 2, 3: 0})
    run_episodes(env, Endless(write_counting_policy(tmp_path / "p.onnx")), 2 * ENVS, seed=0)
    assert counts(env) == [[step] * ENVS for step in range(1, 2 * STEPS + 1)]


@pytest.mark.parametrize("kind", [torch.bool, torch.long])
def test_each_environment_has_its_own_state(tmp_path, kind):
    gains = np.zeros((2, JOINTS))
    gains[0, 0] = gains[1, 1] = 1.0
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx", gains=gains))
    for _ in range(2):
        actions = policy(observations([1.0, 2.0, 3.0]))
    assert actions[:, :2].tolist() == [[2, 2], [2, 4], [2, 6]]
    policy.reset(torch.tensor([0, 1, 0], dtype=kind))
    assert policy(observations([1.0, 2.0, 3.0]))[:, :2].tolist() == [[3, 3], [1, 2], [3, 9]]
    policy.reset()
    # Another number of environments after a reset of all.
    assert policy(observations([5.0]))[:, :2].tolist() == [[1, 5]]


def test_a_state_that_blew_up_is_forgotten_too(tmp_path):
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx"))
    policy(observations([float("nan"), 0.0]))
    policy.reset(torch.tensor([1, 0]))
    assert torch.isfinite(policy(observations([1.0, 1.0]))).all()


def test_a_feed_forward_policy_of_a_checkpoint_is_reset_alike(tmp_path):
    env = FallingEnv({})
    calls: list[Any] = []

    class Recorder:
        def __call__(self, obs: TensorDict) -> torch.Tensor:
            calls.append("act")
            return torch.zeros(ENVS, JOINTS)

        def reset(self, dones: torch.Tensor | None = None) -> None:
            calls.append("all" if dones is None else dones.tolist())

    run_episodes(env, Recorder(), ENVS, seed=0)
    assert calls == ["all"] + ["act", [0] * ENVS] * STEPS


def test_a_history_that_begins_with_zeros_is_refused(tmp_path):
    with pytest.raises(ContractError, match="history_reset: 'zero' in the policy but 'backfill' in the task"):
        check_task({}, make_contract(version=3, history_reset="zero"))
    with pytest.raises(ContractError, match="history_length"):
        check_task({}, make_recurrent_contract())


@pytest.mark.parametrize("path", sorted((assets_dir() / "policies").glob("*/policy.onnx")), ids=lambda p: p.parent.name)
def test_every_shipped_policy_has_its_task(path: Any) -> None:
    """Two feet's pack leaves `still` and `linger` at their defaults, and their policies could not be evaluated."""
    contract = OnnxPolicy(path).contract
    task = compose_task(contract_overrides(contract))
    check_task(task_info(plain(task)), contract)


def test_commands_are_the_usual_ones_unless_the_command_line_names_others():
    """A policy for 2 m/s was measured up to 1 m/s, whatever the words said."""
    words = ["env.commands.lin_vel_x=[-2.0,2.0]", "env.commands.ang_vel_z=[-2.0,2.0]"]
    config = plain(compose_task(words))
    usual = evaluation_config(config, 4, 20.0)["env"]["commands"]
    assert (usual["lin_vel_x"], usual["lin_vel_y"], usual["ang_vel_z"]) == ([-1.0, 1.0], [-0.5, 0.5], [-1.0, 1.0])
    asked = evaluation_config(config, 4, 20.0, words[:1])["env"]["commands"]
    assert (asked["lin_vel_x"], asked["lin_vel_y"], asked["ang_vel_z"]) == ([-2.0, 2.0], [-0.5, 0.5], [-1.0, 1.0])
    assert evaluation_config(config, 4, 20.0, ["env.commands={lin_vel_x: [-2.0, 2.0]}"])["env"]["commands"] == asked
