"""The environment: Isaac Lab's manager-based one with shared state, and worlds that may blow up without harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from isaaclab.envs import ManagerBasedRLEnv, ManagerBasedRLEnvCfg
from isaaclab.utils import configclass

from legged_cts.envs.world_state import State, read_physics, read_worlds
from legged_cts.mdp.actions import DelayedJointPositionAction
from legged_cts.mdp.curriculum import TerrainLevels
from legged_cts.mdp.gait import GaitClock
from legged_cts.mdp.observations import scan_grid
from legged_cts.mdp.physics_params import PhysicsParams
from legged_cts.mdp.progress import EpisodeProgress
from legged_cts.mdp.state import RobotState
from legged_cts.mdp.terrain import GridTerrainImporter
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import load_robot

if TYPE_CHECKING:
    from legged_cts.envs.symmetry import EnvironmentMirror


@configclass
class LeggedEnvCfg(ManagerBasedRLEnvCfg):
    """Configuration of :class:`LeggedEnv`; made by :func:`legged_cts.envs.builder.build_env_cfg`."""

    class_type: type | str = "legged_cts.envs.env:LeggedEnv"

    robot: str = "go2"
    """Name of the robot, or path to its robot.yaml."""

    gait: dict | None = None
    """Fields of :class:`legged_cts.robots.gait.Gait`, if the robot walks by a clock."""


class LeggedEnv(ManagerBasedRLEnv):
    """Velocity tracking with a legged robot.

    Besides the managers it holds what their terms share. ``student_mask`` (bool [N]) may be set by whoever trains:
    the curriculum then listens to those environments alone.
    """

    cfg: LeggedEnvCfg

    def __init__(self, cfg: LeggedEnvCfg, render_mode: str | None = None, **kwargs):
        self.robot_spec = load_robot(cfg.robot)
        self.student_mask: torch.Tensor | None = None
        self.launched: ExitStack | None = None
        """The simulation, where closing the environment shall end it."""
        self.nan_resets = torch.zeros((), dtype=torch.long, device=cfg.sim.device)
        """How many worlds blew up and were reset since the start."""
        self.exploded = torch.zeros(cfg.scene.num_envs, dtype=torch.bool, device=cfg.sim.device)
        """Bool [N]: the worlds that blew up in the last step."""
        self._before_step: State = {}
        self._constants: dict[tuple, torch.Tensor] = {}
        super().__init__(cfg, render_mode, **kwargs)

    def load_managers(self) -> None:
        """Prepare what the terms share, then load the managers."""
        self._let_newton_own_decimation()
        self.physics_params = PhysicsParams.neutral(self.num_envs, len(self.robot_spec.joints), self.device)
        self.push_velocity = torch.zeros(self.num_envs, 3, device=self.device)
        self.scan_points = scan_grid(self.device)
        self.clean_frame = torch.empty(0, device=self.device)
        self.state = RobotState(self)
        gait = self.cfg.gait
        self.gait = None if gait is None else GaitClock(Gait(**gait), self.num_envs, self.step_dt, self.device)
        generator = self.terrain.cfg.terrain_generator
        half_size = math.inf if generator is None else 0.5 * generator.size[0]
        self.progress = EpisodeProgress(self.num_envs, half_size, self.device)
        """What the running episodes asked for and got; kept up to date on terrain with levels only."""
        super().load_managers()

    def _let_newton_own_decimation(self) -> None:
        # Isaac Lab folds the ticks of a control step into one call (one CUDA graph) only where an explicit actuator is
        # executed by Newton. Ours are implicit, hence always inside the solver, and need no code between ticks.
        if not self.on_newton:
            return
        from isaaclab_newton.physics import NewtonManager

        if not self._physics_handles_decimation:
            NewtonManager.activate_newton_actuator_path()
            self.sim.physics_manager.set_decimation(self.cfg.decimation)
            self._physics_handles_decimation = self.sim.physics_manager.handles_decimation()

    @property
    def terrain(self) -> GridTerrainImporter:
        """The ground, with its heights."""
        return cast(GridTerrainImporter, self.scene.terrain)

    @property
    def levels(self) -> TerrainLevels | None:
        """The terrain curriculum, None where there is none."""
        term = getattr(self.curriculum_manager.cfg, "terrain_levels", None)
        return None if term is None else term.func

    @property
    def on_newton(self) -> bool:
        """Whether Newton holds the model, whichever of its solvers runs."""
        from isaaclab_newton.physics import NewtonCfg

        return isinstance(self.cfg.sim.physics, NewtonCfg)

    @property
    def physics_handles_decimation(self) -> bool:
        """Whether the engine runs all ticks of a control step in one call."""
        return self._physics_handles_decimation

    @property
    def joint_action(self) -> DelayedJointPositionAction:
        """The action term."""
        return cast(DelayedJointPositionAction, self.action_manager.get_term("joint_pos"))

    @property
    def command(self) -> torch.Tensor:
        """Commanded v_x, v_y [m/s] and yaw rate [rad/s] in the base frame [N, 3]."""
        return self.command_manager.get_command("velocity")

    @property
    def students(self) -> torch.Tensor:
        """Bool [N]: the student environments, or all where no one said."""
        if self.student_mask is None:
            return self.constant((True,)).expand(self.num_envs)
        return self.student_mask

    def constant(self, values: Sequence[float]) -> torch.Tensor:
        """Return ``values`` as a tensor on the environment's device, made once."""
        # With their types: 1, 1.0 and True are equal keys, but not equal tensors.
        key = (tuple(values), *map(type, values))
        if key not in self._constants:
            self._constants[key] = torch.tensor(key[0], device=self.device)
        return self._constants[key]

    @cached_property
    def mirror(self) -> EnvironmentMirror:
        """The left-right mirror of observations and actions; made when a training with symmetry first asks for it."""
        from legged_cts.envs.symmetry import EnvironmentMirror

        return EnvironmentMirror.of(self.cfg, self.device)

    def newest_frame(self) -> torch.Tensor:
        """Return the newest frame [N, n] of the history group, or the clean one before there is a history."""
        manager = getattr(self, "observation_manager", None)
        buffer = manager and manager._group_obs_term_history_buffer["history"]["frame"]
        if not buffer or buffer._buffer is None:
            return self.clean_frame
        return buffer.buffer[:, -1]

    def step(self, action: torch.Tensor):
        """Step all environments; worlds that blew up earn nothing and start anew."""
        self._before_step = read_worlds(self)
        command = self.command.clone()
        self.push_velocity.zero_()
        if self.gait is not None:
            self.gait.advance(self.command)
        threads = torch.get_num_threads()
        if self.device == "cpu":
            # The terms' tensors are small: threads gain nothing there, and while they wait they spin on the cores that
            # MuJoCo computes on.
            torch.set_num_threads(1)
        try:
            result = super().step(action)
        finally:
            torch.set_num_threads(threads)
        if self.terrain.terrain_origins is not None:
            state, origins = self.state, self.terrain.env_origins
            self.progress.update(command, state.root_pos_w, state.yaw, state.ground, origins, self.step_dt)
        if "nan_state" in self.termination_manager.active_terms:
            self.exploded = self.termination_manager.get_term("nan_state").clone()
            self.reward_buf.masked_fill_(self.exploded, 0.0)
            self.nan_resets += self.exploded.sum()
        return result

    def fault_state(self, world: int) -> dict[str, Any]:
        """Return what a replay of the last step of one world needs, see :mod:`legged_cts.envs.world_state`.

        Plain values and tensors on the CPU: ``seed`` of the environment, ``before`` the step and ``physics``.
        """
        before = {name: value[world].cpu().clone() for name, value in self._before_step.items()}
        return {"seed": self.cfg.seed, "before": before, "physics": read_physics(self, world)}

    def _reset_idx(self, env_ids: torch.Tensor | slice) -> None:
        super()._reset_idx(env_ids)
        self.state.reset(env_ids)
        self.progress.reset(env_ids)
        if self.gait is not None:
            self.gait.reset(env_ids)

    def close(self) -> None:
        """Close the environment; the engine's manager is a class and would keep our delays for the next one."""
        if not self._is_closed and hasattr(self.sim.physics_manager, "set_action_schedule"):
            self.sim.physics_manager.set_action_schedule(None, None)
        super().close()
        if self.launched is not None:
            self.launched.close()
            self.launched = None
