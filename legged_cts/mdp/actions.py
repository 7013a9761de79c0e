"""Joint position targets that reach the actuators with a delay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import warp as wp
from isaaclab.managers import ActionTerm, ActionTermCfg
from isaaclab.utils import configclass

from legged_cts.mdp.delay_kernels import count_tick, hold_previous_targets
from legged_cts.task.delays import delay_ticks

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv


class DelayedJointPositionAction(ActionTerm):
    """Turns actions into joint position targets, ``default + scale * clip(action)``, and delays them per environment.

    An environment with a delay of k ticks keeps the previous step's target during the first k ticks of each control
    step. The delay is drawn at every reset. An error of a joint's zero position (``env.physics_params``) shifts the
    target, as it does on a robot whose encoder reads too much.
    """

    cfg: DelayedJointPositionActionCfg
    _env: LeggedEnv

    def __init__(self, cfg: DelayedJointPositionActionCfg, env: LeggedEnv):
        super().__init__(cfg, env)
        self._joint_ids = list(range(len(env.robot_spec.joints)))
        n, d = env.num_envs, len(env.robot_spec.joints)
        decimation = env.cfg.decimation
        ticks = [delay_ticks(delay, env.physics_dt, decimation) for delay in cfg.delay_ms]
        self._choices = torch.tensor(ticks, dtype=torch.int32, device=self.device)
        self._decimation = decimation
        self._default = torch.tensor(env.robot_spec.nominal_pose, device=self.device)
        self._scale = torch.tensor(cfg.scale, device=self.device)
        self._raw = torch.zeros(n, d, device=self.device)
        self.action = torch.zeros(n, d, device=self.device)
        """Clipped action [N, d] of this step, a_t; the two before it are ``previous_action`` and ``older_action``."""
        self.previous_action = torch.zeros_like(self.action)
        self.older_action = torch.zeros_like(self.action)
        self.current_target = self._default.repeat(n, 1)
        """Joint targets [N, d] in rad of this step; ``previous_target`` are the last step's."""
        self.previous_target = self.current_target.clone()
        self.delay_ticks = torch.zeros(n, dtype=torch.int32, device=self.device)
        """Physics ticks [N] for which the previous target still holds."""
        self._applied = torch.zeros_like(self.action)
        self._tick_number = 0
        self._tick = torch.zeros(1, dtype=torch.int32, device=self.device)
        self._ticks_inside = env.physics_handles_decimation
        if self._ticks_inside:
            self._delay_inside_physics(env)

    @property
    def action_dim(self) -> int:
        """Number of joints."""
        return self.action.shape[1]

    @property
    def raw_actions(self) -> torch.Tensor:
        """Actions [N, d] as the policy gave them."""
        return self._raw

    @property
    def processed_actions(self) -> torch.Tensor:
        """Joint position targets [N, d] in rad."""
        return self.current_target

    @property
    def last_tick_target(self) -> torch.Tensor:
        """Targets [N, d] that the actuators followed in the last tick of the step."""
        late = self.delay_ticks >= self._decimation
        return torch.where(late[:, None], self.previous_target, self.current_target)

    def process_actions(self, actions: torch.Tensor) -> None:
        """Take the actions [N, d] of a new control step."""
        self._raw.copy_(actions)
        self.older_action.copy_(self.previous_action)
        self.previous_action.copy_(self.action)
        torch.clamp(actions, -self.cfg.clip, self.cfg.clip, out=self.action)
        self.previous_target.copy_(self.current_target)
        rest = self._default - self._env.physics_params.joint_zero
        torch.addcmul(rest, self.action, self._scale, out=self.current_target)
        self._tick_number = 0
        self._tick.zero_()
        if self._native_previous is not None:
            self._native_previous[:, self._native_columns] = self.previous_target

    _native_previous: torch.Tensor | None = None

    def apply_actions(self) -> None:
        """Hand targets to the simulator; called once per tick, or once per step if the engine ticks by itself."""
        target = self.current_target
        if not self._ticks_inside:
            late = self.delay_ticks > self._tick_number
            torch.where(late[:, None], self.previous_target, self.current_target, out=self._applied)
            self._tick_number += 1
            target = self._applied
        self._asset.set_joint_position_target_index(target=target)

    def reset(self, env_ids: Sequence[int] | slice | None = None) -> None:
        """Forget the action history, hold the default pose and draw a delay."""
        env_ids = slice(None) if env_ids is None else env_ids
        for buffer in (self._raw, self.action, self.previous_action, self.older_action):
            buffer[env_ids] = 0.0
        rest = self._default - self._env.physics_params.joint_zero[env_ids]
        self.current_target[env_ids] = rest
        self.previous_target[env_ids] = rest
        count = rest.shape[0]
        choice = torch.randint(len(self._choices), (count,), device=self.device)
        self.delay_ticks[env_ids] = self._choices[choice]

    def _delay_inside_physics(self, env: LeggedEnv) -> None:
        from isaaclab_newton.physics import NewtonManager

        control = NewtonManager.get_control()
        view = self._asset.root_view.get_attribute("joint_target_q", control)[:, 0]
        backend = list(self._asset.backend_joint_names)
        columns = [backend.index(name) for name in env.robot_spec.joints]
        manager = env.sim.physics_manager
        if hasattr(manager, "set_action_schedule"):
            # Same layout as the engine's own targets; only the joints' columns are ever read.
            flat = control.joint_target_q
            assert flat is not None
            previous = wp.clone(flat)
            offset = (view.ptr - flat.ptr) // 4
            self._native_previous = wp.to_torch(previous).view(env.num_envs, -1)
            self._native_columns = torch.tensor(columns, device=self.device) + offset
            manager.set_action_schedule(previous, self.delay_ticks.numpy())
            return
        arrays = [
            wp.from_torch(self.previous_target),
            wp.from_torch(self.current_target),
            wp.from_torch(self.delay_ticks),
            wp.from_torch(self._tick),
            wp.array(columns, dtype=wp.int32, device=self.device),
        ]

        def hold() -> None:
            wp.launch(
                hold_previous_targets,
                dim=(env.num_envs, len(columns)),
                inputs=arrays,
                outputs=[view],
                device=self.device,
            )
            wp.launch(count_tick, dim=1, inputs=[], outputs=[arrays[3]], device=self.device)

        NewtonManager.register_post_actuator_callback(hold)


@configclass
class DelayedJointPositionActionCfg(ActionTermCfg):
    """Configuration of :class:`DelayedJointPositionAction`."""

    class_type = DelayedJointPositionAction
    asset_name: str = "robot"

    scale: float | tuple[float, ...] = 0.25
    """Radians per unit of action, for all joints or for each."""

    clip: float = 100.0
    """Actions are clipped to ``[-clip, clip]`` first."""

    delay_ms: list[float] = [0.0]
    """Delays [ms] to choose from, each a whole number of physics ticks."""
