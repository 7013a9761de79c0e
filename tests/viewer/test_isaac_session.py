"""A training configuration, changed for looking at one robot; the simulator itself is not started."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from legged_cts.deploy.mujoco_robot import build_model
from legged_cts.envs.builder import build_env_cfg
from legged_cts.mdp.terrain_heights import TerrainHeights
from legged_cts.robots.spec import load_robot
from legged_cts.training.compose import compose_task, plain
from legged_cts.viewer.isaac_session import IsaacSession, heightfield, play_config
from legged_cts.viewer.session import World
from legged_cts.viewer.shapes import ground_geom, ground_patch


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    """Configuration of a run on flat ground, where the height scan is left out of the privileged state."""
    return plain(compose_task([]))


def test_one_undisturbed_robot_remains(trained: dict[str, Any]) -> None:
    before = copy.deepcopy(trained)
    config = play_config(trained, "mujoco_cpu", None, 0.5, "cpu", 7)
    assert trained == before
    env = config["env"]
    assert trained["env"]["randomization"]["friction"] is not None
    assert set(env["randomization"].values()) == {None}
    assert env["actions"]["delay_ms"] == [0]
    assert not any((env["pushes"]["enabled"], env["observations"]["noise"]["enabled"], env["commands"]["heading"]))
    assert env["commands"]["resampling_s"] > 1e6
    assert env["terminations"]["time_out"] is False and env["terminations"]["tilt"]
    # The builder takes what was changed.
    built = build_env_cfg(config)
    assert (built.scene.num_envs, built.seed) == (1, 7)


def test_the_privileged_state_stays_as_trained_on_another_terrain(trained: dict[str, Any]) -> None:
    def terms(config: dict[str, Any]) -> dict[str, bool]:
        return config["env"]["observations"]["privileged"]

    flat = play_config(trained, "mujoco_cpu", None, 0.5, "cpu", 0)
    rough = play_config(trained, "mujoco_cpu", "rough", 0.5, "cpu", 0)
    assert rough["terrain"]["name"] == "rough"
    assert terms(rough) == terms(flat)
    assert terms(rough)["height_scan"] is False and terms(rough)["base_lin_vel"] is True
    trained_rough = plain(compose_task(["terrain=rough"]))
    assert terms(play_config(trained_rough, "mujoco_cpu", "flat", 0.5, "cpu", 0))["height_scan"] is True


def test_difficulty_sets_the_highest_level_to_start_on(trained: dict[str, Any]) -> None:
    for difficulty, level in ((0.0, 0), (1.0, 9), (0.6, 5)):
        config = play_config(trained, "mujoco_cpu", "rough", difficulty, "cpu", 0)
        assert config["terrain"]["levels"] == 10
        assert config["terrain"]["initial_level"] == level


def test_an_unknown_terrain_names_the_known_ones(trained: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="moon.*flat.*rough"):
        play_config(trained, "auto", "moon", 0.5, "cpu", 0)


def test_the_drawn_ground_has_the_environments_heights() -> None:
    rows, cols, cell = 9, 13, 0.5
    grid = torch.rand(rows, cols, generator=torch.Generator().manual_seed(0))
    heights = TerrainHeights(grid, (-0.5 * (rows - 1) * cell, -0.5 * (cols - 1) * cell), cell)
    model = build_model(load_robot("go2"), 0.005, heightfield(heights), 1.0)
    ground = ground_geom(model)
    assert ground is not None
    vertices = ground_patch(model, ground, np.zeros(2), 10.0)[0].vertices
    assert len(vertices) == rows * cols
    expected = heights.sample(torch.tensor(vertices[:, :2], dtype=torch.float32))
    np.testing.assert_allclose(vertices[:, 2], expected.numpy(), atol=1e-5)
    assert heightfield(TerrainHeights(None)) is None


class CountingPolicy:
    """A policy whose action is the number of steps since its reset."""

    def __init__(self) -> None:
        self.count = torch.zeros(1, 1)

    def __call__(self, obs: Any) -> torch.Tensor:
        self.count = self.count + 1
        return self.count.expand(1, 12)

    def reset(self, dones: torch.Tensor | None = None) -> None:
        self.count = self.count * 0 if dones is None else torch.where(dones[:, None] > 0, 0.0, self.count)


class OneRobot:
    """What `IsaacSession` needs of an environment; the robot falls at the steps `falls`."""

    def __init__(self, falls: set[int]) -> None:
        def tensor(*values: float) -> SimpleNamespace:
            return SimpleNamespace(torch=torch.tensor([values]))

        data = SimpleNamespace(
            root_link_pose_w=tensor(0, 0, 0.3, 0, 0, 0, 1),
            joint_pos=tensor(*load_robot("go2").nominal_pose),
            root_link_lin_vel_w=tensor(0, 0, 0),
            root_link_ang_vel_w=tensor(0, 0, 0),
        )
        command = SimpleNamespace(cfg=SimpleNamespace(ranges=SimpleNamespace()), vel_command_b=torch.zeros(1, 3))
        self.step_dt = 0.02
        self.command_manager = SimpleNamespace(get_term=lambda _: command)
        self.termination_manager = SimpleNamespace(terminated=torch.zeros(1, dtype=torch.bool))
        terrain = SimpleNamespace(heights=TerrainHeights(None))
        self.scene = type("Scene", (dict,), {"terrain": terrain})(robot=SimpleNamespace(data=data))
        self.state = SimpleNamespace(
            joint_pos=torch.full((1, 12), 0.3),
            joint_torque=torch.arange(-6.0, 6.0)[None],
            effort_limit=torch.full((12,), 10.0),
            foot_contact=torch.tensor([[True, False, True, False]]),
        )
        self.actions: list[float] = []
        self._falls = falls

    @property
    def unwrapped(self) -> OneRobot:
        return self

    def reset(self) -> tuple[None, dict]:
        return None, {}

    def step(self, actions: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor, dict]:
        fell = torch.tensor([len(self.actions) in self._falls])
        self.actions.append(float(actions[0, 0]))
        self.termination_manager.terminated = fell
        return None, torch.zeros(1), fell.long(), {}


def session_of(env: OneRobot, policies: dict[str, CountingPolicy], trained: dict[str, Any]) -> IsaacSession:
    ranges = {name: (-1.0, 1.0) for name in ("lin_vel_x", "lin_vel_y", "ang_vel_z")}
    checkpoint = {"env_info": {"command_ranges": ranges}, "total_steps": 0}
    return IsaacSession(env, policies, checkpoint, trained, "student")


def test_it_tells_torques_as_shares_and_keeps_its_world(trained: dict[str, Any]) -> None:
    session = session_of(OneRobot(falls=set()), {"student": CountingPolicy()}, trained)
    signals = session.signals()
    np.testing.assert_allclose(signals.torque_share, np.abs(np.arange(-6.0, 6.0)) / 10.0, rtol=1e-6)
    np.testing.assert_allclose(signals.joint_pos, 0.3, rtol=1e-6)
    assert signals.contact.tolist() == [True, False, True, False]
    session.set_world(session.world)
    assert session.terrains == ("flat",)
    with pytest.raises(ValueError, match="Isaac Lab builds it once"):
        session.set_world(World("flat", friction=0.3))


def test_a_recurrent_policy_begins_anew_after_a_fall_a_reset_and_a_change_of_role(trained: dict[str, Any]) -> None:
    env, policies = OneRobot(falls={3}), {"student": CountingPolicy(), "teacher": CountingPolicy()}
    session = session_of(env, policies, trained)

    def run(steps: int) -> list[float]:
        for _ in range(steps):
            session.step(np.zeros(3))
        return env.actions[-steps:]

    assert run(4) == [1, 2, 3, 4]
    assert run(3) == [1, 2, 3]
    session.reset()
    assert run(2) == [1, 2]
    session.set_role("teacher")
    assert run(3) == [1, 2, 3]
    # The student was not asked for a while: what it remembers is of another time.
    session.set_role("student")
    assert run(2) == [1, 2]


def trained_policies(scale: float = 1.0, width: int = 12) -> dict[str, Any]:
    return {"student": LinearPolicy(scale, width)}


class LinearPolicy(torch.nn.Linear):
    """A policy with weights that are all alike."""

    def __init__(self, weight: float, width: int) -> None:
        super().__init__(width, 12)
        torch.nn.init.constant_(self.weight, weight)

    def reset(self, dones: torch.Tensor | None = None) -> None:
        pass


def later(trained: dict[str, Any], **info: Any) -> dict[str, Any]:
    ranges = {name: (-2.0, 2.0) for name in ("lin_vel_x", "lin_vel_y", "ang_vel_z")}
    return {"env_info": {"command_ranges": ranges, **info}, "total_steps": 500, "iter": 7, "config": trained}


def test_a_later_checkpoint_takes_over_and_the_robot_stays_where_it_is(trained: dict[str, Any]) -> None:
    env, policies = OneRobot(falls=set()), trained_policies()
    session = session_of(env, policies, trained)
    before = session.state()
    session.take(later(trained), trained_policies(3.0))
    assert policies["student"].weight[0, 0].item() == 3.0
    np.testing.assert_array_equal(session.state().qpos, before.qpos)
    assert session.title == "go2, CTS, 500 steps"
    assert session.command_ranges["lin_vel_x"] == (-2.0, 2.0)


def test_a_stage_that_the_training_reached_counts_with_its_weights(trained: dict[str, Any]) -> None:
    env = OneRobot(falls=set())
    weights = {"action_rate": SimpleNamespace(weight=0.0)}
    env.reward_manager = SimpleNamespace(get_term_cfg=weights.__getitem__)  # type: ignore[attr-defined]
    session = session_of(env, trained_policies(), trained)
    stage = {"when": {"falls": 0.1}, "set": {"env": {"rewards": {"action_rate": -0.5}}}}
    content = later({**trained, "stages": {"smooth": stage}}) | {"stages": {"reached": ["smooth"], "since": 3}}
    session.take(content, trained_policies())
    assert weights["action_rate"].weight == -0.5


def test_a_checkpoint_of_another_training_is_refused_and_changes_nothing(trained: dict[str, Any]) -> None:
    policies = trained_policies()
    session = session_of(OneRobot(falls=set()), policies, trained)
    with pytest.raises(ValueError, match="of another task"):
        session.take(later(trained, robot="tron1"), trained_policies(3.0))
    with pytest.raises(ValueError, match="other sizes"):
        session.take(later(trained), trained_policies(3.0, width=13))
    assert policies["student"].weight[0, 0].item() == 1.0 and session.title == "go2, CTS, 0 steps"
