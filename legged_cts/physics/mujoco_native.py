"""MuJoCo's own C engine under Isaac Lab's Newton backend: the fast way to simulate on a CPU.

Isaac Lab keeps its model, state and articulation views; only the solver changes. One control step is one call of
:class:`mujoco.rollout.Rollout`, which ticks every world on all cores, instead of one Warp launch per kernel and tick.
"""
# Newton's arrays are optional until its model is finalised, which is before any of this runs.
# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import mujoco
import numpy as np
import torch
import warp as wp
from isaaclab.utils import configclass
from isaaclab_newton.physics import MJWarpSolverCfg, NewtonManager
from isaaclab_newton.physics.mjwarp_manager import NewtonMJWarpManager
from mujoco import rollout
from newton import Control, Model, ModelFlags, State
from newton.solvers import SolverMuJoCo

from legged_cts.physics.ground_heights import inject_heights, restore_heights
from legged_cts.physics.world_models import WorldModels

DIVERGED = 1e6
"""A coordinate or velocity above this magnitude has diverged; its world is handed to the environment as NaN."""


def merged_ticks(ticks: int, dt: float, longest: float | None) -> int:
    """Return how many ticks of ``dt`` [s] are taken as one.

    Args:
        ticks: Ticks of a control step, which what is returned divides.
        dt: Length of a tick [s].
        longest: How long they may be together [s]; None takes each for itself.
    """
    if longest is None:
        return 1
    return max(
        count for count in range(1, ticks + 1) if ticks % count == 0 and (count == 1 or count * dt <= 1.001 * longest)
    )


class _RecordingMujoco:
    """The ``mujoco`` module, except that it remembers the last ``MjSpec`` made through it.

    Newton compiles a spec and drops it; the native solver must add sensors to the same spec.
    """

    def __init__(self) -> None:
        self.spec: mujoco.MjSpec | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(mujoco, name)

    def MjSpec(self) -> mujoco.MjSpec:  # noqa: N802 - the module's own name
        """Make and remember a spec."""
        self.spec = mujoco.MjSpec()
        return self.spec


class NativeMujocoSolver(SolverMuJoCo):
    """Newton's MuJoCo solver with the stepping done by MuJoCo's C code on all cores.

    Newton still converts its model, mirrors parameter changes into batched arrays and converts states; those arrays
    are copied into one ``MjModel`` per world whenever they change (:class:`WorldModels`).

    Args:
        model: The Newton model, on the CPU.
        threads: Number of threads, 0 for every core.
        longest_tick: See :attr:`longest_tick`.
        **kwargs: Passed to :class:`newton.solvers.SolverMuJoCo`.

    Raises:
        ValueError: If the model is not on the CPU, or the worlds need more memory than the machine has.
    """

    _recorder = _RecordingMujoco()

    @classmethod
    def import_mujoco(cls) -> tuple[Any, Any]:
        """Return MuJoCo (recording its specs) and MuJoCo Warp."""
        _, mujoco_warp = SolverMuJoCo.import_mujoco()
        return cls._recorder, mujoco_warp

    def __init__(self, model: Model, threads: int = 0, longest_tick: float | None = None, **kwargs: Any) -> None:
        self.longest_tick = longest_tick
        """Ticks are taken as one up to this length [s], where they divide a control step; it may change any time."""
        if str(model.device) != "cpu":
            raise ValueError(f"physics=mujoco_cpu needs device=cpu, got '{model.device}'")
        self._worlds: WorldModels | None = None
        self._models_dirty = True
        super().__init__(model, **kwargs)
        spec = self._recorder.spec
        self._recorder.spec = None
        assert spec is not None
        restore_heights(model, spec)
        num_worlds = self.mjw_data.nworld
        self._worlds = WorldModels(spec, self.mj_model, num_worlds)
        base = self._worlds.base
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pool = rollout.Rollout(nthread=self._threads)
        self._contacts: Callable[[], AbstractContextManager[None]] = nullcontext
        if base.nhfield:
            # Only here: Numba takes half a second to import.
            from legged_cts.physics.height_contacts import height_contacts

            self._contacts = height_contacts
        self._thread_data = [mujoco.MjData(base) for _ in range(self._threads)]
        self._num_state = mujoco.mj_stateSize(base, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self._state_in = np.zeros((num_worlds, self._num_state))
        self._map_actuators()
        self._sensordata = np.zeros((num_worlds, base.nsensordata))

    def notify_model_changed(self, flags: ModelFlags | int) -> None:
        """Take over changed model parameters; the worlds' own models follow before the next step."""
        super().notify_model_changed(flags)
        self._models_dirty = True

    def step_ticks(
        self,
        state: State,
        control: Control,
        dt: float,
        ticks: int,
        previous_targets: wp.array | None = None,
        delay_ticks: np.ndarray | None = None,
    ) -> None:
        """Advance every world by ``ticks`` steps of ``dt`` under one set of joint targets.

        Args:
            state: Newton state, read and overwritten.
            control: Newton control with the joint targets.
            dt: Length of a tick [s].
            ticks: Number of ticks.
            previous_targets: Flat joint position targets (layout of ``control.joint_target_q``) that still hold
                during the first ticks.
            delay_ticks: Int [num_worlds]; for how many ticks they hold, rounded up to merged ones.
        """
        merged = merged_ticks(ticks, dt, self.longest_tick)
        dt, ticks = dt * merged, ticks // merged
        if delay_ticks is not None:
            delay_ticks = -(-delay_ticks // merged)
        assert self._worlds is not None
        if self._models_dirty:
            self._worlds.mirror(self.mjw_model)
            self._models_dirty = False
        self._worlds.set_timestep(dt)
        base, data = self._worlds.base, self.mjw_data
        commands, spec = self._commands(state, control, ticks)
        if previous_targets is not None and delay_ticks is not None:
            late = np.arange(ticks)[None, :] < delay_ticks[:, None]
            previous = self._positions(previous_targets)
            columns = commands[:, :, self._position_actuators]
            commands[:, :, self._position_actuators] = np.where(late[:, :, None], previous[:, None], columns)

        self._update_mjc_data(data, self.model, state)
        qpos, qvel = data.qpos.numpy(), data.qvel.numpy()  # views, since the device is the CPU
        nq, nv = base.nq, base.nv
        first = self._state_in
        first[:, 1 : 1 + nq] = qpos
        first[:, 1 + nq : 1 + nq + nv] = qvel
        self._last_commands = commands, spec
        last, self._sensordata = self._roll(self._worlds.models, first, commands, spec)
        # MuJoCo stops a world that diverges; NaN is what the environment looks for.
        coordinates = last[:, 1 : 1 + nq + nv]
        bad = ~(np.abs(coordinates).max(1) < DIVERGED)
        if bad.any():
            last[bad, 1 : 1 + nq + nv] = np.nan
            self._sensordata[bad] = 0.0
        qpos[:], qvel[:] = last[:, 1 : 1 + nq], last[:, 1 + nq : 1 + nq + nv]
        self._update_newton_state(self.model, state, data, state_prev=state)
        self._step += ticks

    def body_contact_force(self) -> np.ndarray:
        """Net contact force on each MuJoCo body in the last tick, world frame [N], float64 [num_worlds, nbody, 3]."""
        assert self._worlds is not None
        return self._worlds.contact_forces(self._sensordata)

    def actuator_force(self) -> np.ndarray:
        """Torque of all actuators at each degree of freedom in the last tick [N m], float64 [num_worlds, nv]."""
        assert self._worlds is not None
        return self._worlds.actuator_forces(self._sensordata)

    def bare_speed(self, shared: bool = False, repeats: int = 20) -> float:
        """Measure the rollout alone on the states and commands of the last control step.

        Args:
            shared: Whether all worlds share one model instead of each having its own parameters.
            repeats: Number of rollouts; the median counts.

        Returns:
            World control steps per second.
        """
        assert self._worlds is not None
        commands, spec = self._last_commands
        models = [self._worlds.models[0]] * len(commands) if shared else self._worlds.models
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            self._roll(models, self._state_in, commands, spec)
            seconds.append(time.perf_counter() - start)
        return len(commands) / float(np.median(seconds))

    def _positions(self, targets: wp.array) -> np.ndarray:
        """Position targets [num_worlds, actuators] of the position actuators from Newton's flat array."""
        return targets.numpy().reshape(self.mjw_data.nworld, -1)[:, self._position_sources]

    def _map_actuators(self) -> None:
        """Work out which entry of Newton's targets drives which actuator.

        Raises:
            ValueError: If an actuator is driven by anything but the position or velocity target of a hinge.
        """
        source = self.mjc_actuator_to_newton_idx.numpy()
        kinds, ball = self.mjc_actuator_ctrl_source.numpy(), self.mjc_actuator_to_target_q_axis_idx.numpy()
        if (kinds != SolverMuJoCo.CtrlSource.JOINT_TARGET).any() or (ball >= 0).any() or (source == -1).any():
            raise ValueError("physics=mujoco_cpu drives hinges by position and velocity targets; use newton_mjwarp")
        # Newton encodes a velocity actuator of degree of freedom i as -(i + 2).
        self._position_actuators = np.flatnonzero(source >= 0)
        self._position_sources = self.mjc_actuator_to_newton_target_q_idx.numpy()[self._position_actuators]
        self._velocity_actuators = np.flatnonzero(source < 0)
        self._velocity_sources = -(source[self._velocity_actuators] + 2)

    def _commands(self, state: State, control: Control, ticks: int) -> tuple[np.ndarray, int]:
        """Return controls [num_worlds, ticks, n] and the ``mjtState`` bits that they hold."""
        assert self._worlds is not None
        data, base = self.mjw_data, self._worlds.base
        spec = int(mujoco.mjtState.mjSTATE_CTRL)
        forces = []
        if control.joint_f.numpy().any() or (state.body_f is not None and state.body_f.numpy().any()):
            self._apply_mjc_control(self.model, state, control, data)
            forces = [data.qfrc_applied.numpy(), data.xfrc_applied.numpy().reshape(data.nworld, -1)]
            spec |= int(mujoco.mjtState.mjSTATE_QFRC_APPLIED) | int(mujoco.mjtState.mjSTATE_XFRC_APPLIED)
        commands = np.zeros((data.nworld, ticks, base.nu + sum(part.shape[1] for part in forces)))
        commands[:, :, self._position_actuators] = self._positions(control.joint_target_q)[:, None]
        velocities = control.joint_target_qd.numpy().reshape(data.nworld, -1)
        commands[:, :, self._velocity_actuators] = velocities[:, None, self._velocity_sources]
        if forces:
            commands[:, :, base.nu :] = np.concatenate(forces, 1)[:, None]
        return commands, spec

    def _roll(
        self, models: list[mujoco.MjModel], first: np.ndarray, commands: np.ndarray, spec: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return states and sensors' readings [num_worlds, n] after the ticks of ``commands``, on all threads."""
        assert self._worlds is not None
        if commands.shape[1] > 1:
            # Nobody reads the sensors before the last tick, and contact sensors are a tenth of one.
            with self._worlds.without_sensors():
                first, _ = self._rollout(models, first, commands[:, :-1], spec)
        return self._rollout(models, first, commands[:, -1:], spec)

    def _rollout(
        self, models: list[mujoco.MjModel], first: np.ndarray, commands: np.ndarray, spec: int
    ) -> tuple[np.ndarray, np.ndarray]:
        ticks = commands.shape[1]
        states = np.empty((len(first), ticks, self._num_state))
        sensordata = np.zeros((len(first), ticks, self._sensordata.shape[1]))
        with self._contacts():
            self._pool.rollout(
                models,
                self._thread_data,
                first,
                np.ascontiguousarray(commands),
                control_spec=spec,
                skip_checks=True,
                nstep=ticks,
                state=states,
                sensordata=sensordata,
            )
        return np.ascontiguousarray(states[:, -1]), sensordata[:, -1]


class NewtonNativeMujocoManager(NewtonMJWarpManager):
    """Newton manager that runs all ticks of a control step in :class:`NativeMujocoSolver`."""

    _previous_targets: wp.array | None = None
    _delay_ticks: np.ndarray | None = None
    _contact_maps: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def _create_solver(cls, model: Model, solver_cfg: Any) -> NativeMujocoSolver:
        kwargs = cls._filter_solver_kwargs(SolverMuJoCo, solver_cfg)
        kwargs.pop("ls_parallel", None)
        cls._solver_specific_clear()
        return NativeMujocoSolver(model, threads=solver_cfg.threads, longest_tick=solver_cfg.longest_tick, **kwargs)

    @classmethod
    def _inject_terrain_heightfields(cls, stage: Any, builder: Any, *, root_paths: Sequence[str]) -> list[str]:
        meshes = super()._inject_terrain_heightfields(stage, builder, root_paths=root_paths)
        return [*meshes, *inject_heights(stage, builder, root_paths)]

    @classmethod
    def _solver_specific_clear(cls) -> None:
        # The manager is a class: what it holds would outlive the simulation.
        cls._previous_targets = cls._delay_ticks = None
        cls._contact_maps = {}

    @classmethod
    def handles_decimation(cls) -> bool:
        """Every tick of a control step happens inside one :meth:`step`."""
        return True

    @classmethod
    def _is_all_graphable(cls) -> bool:
        # Chooses ``_simulate_full`` in ``step``; without CUDA nothing is captured.
        return True

    @classmethod
    def set_action_schedule(cls, previous: wp.array | None, delay_ticks: np.ndarray | None) -> None:
        """Let ``previous`` targets hold for the first ``delay_ticks`` ticks of the coming control steps.

        Args:
            previous: Flat array in the layout of ``control.joint_target_q``, or None for no delay.
            delay_ticks: Int [num_worlds].
        """
        cls._previous_targets, cls._delay_ticks = previous, delay_ticks

    @classmethod
    def set_longest_tick(cls, longest: float | None) -> None:
        """Take ticks as one up to this length [s] from the next control step on."""
        cls._native().longest_tick = longest

    @classmethod
    def actuator_force(cls) -> torch.Tensor:
        """Torque of the actuators at each degree of freedom in the last tick [N m], float32 [num_worlds, nv]."""
        return torch.from_numpy(cls._native().actuator_force().astype(np.float32))

    @classmethod
    def _native(cls) -> NativeMujocoSolver:
        solver = NewtonManager._solver
        assert isinstance(solver, NativeMujocoSolver)
        return solver

    @classmethod
    def _simulate_full(cls) -> None:
        state, control = cls.backend.state_0, cls.backend.control
        cls._stage_body_forces()
        cls._apply_staged_body_forces(state)
        for callback in cls._state_force_callbacks:
            callback(state)
        ticks = cls._decimation * cls._num_substeps
        cls._native().step_ticks(state, control, cls._solver_dt, ticks, cls._previous_targets, cls._delay_ticks)
        state.clear_forces()
        for callback in cls._post_step_callbacks:
            callback()
        cls._update_sensors(None)

    @classmethod
    def _update_sensors(cls, contacts: Any) -> None:
        state = cls.backend.state_0
        for sensor in (*cls._newton_frame_transform_sensors, *cls._newton_imu_sensors):
            sensor.update(state)
        if not cls._report_contacts:
            return
        forces = cls._native().body_contact_force()
        for sensor in cls._newton_contact_sensors.values():
            worlds, bodies = cls._contact_map(sensor)
            sensor.total_force.numpy()[:] = forces[worlds, bodies]

    @classmethod
    def _contact_map(cls, sensor: Any) -> tuple[np.ndarray, np.ndarray]:
        """World and MuJoCo body of each row of a Newton contact sensor."""
        found = cls._contact_maps.get(id(sensor))
        if found is None:
            if sensor.sensing_type != "body" or sensor.force_matrix is not None:
                raise NotImplementedError(
                    "physics=mujoco_cpu reports the net contact force of bodies; contact sensors on shapes or with "
                    "filter_prim_paths_expr need physics=newton_mjwarp"
                )
            to_newton = cls._native().mjc_body_to_newton.numpy()
            where = {int(to_newton[w, b]): (w, b) for w, b in np.ndindex(*to_newton.shape) if to_newton[w, b] >= 0}
            rows = np.array([where[index] for index in sensor.sensing_indices])
            found = cls._contact_maps[id(sensor)] = (rows[:, 0], rows[:, 1])
        return found


@configclass
class NativeMujocoSolverCfg(MJWarpSolverCfg):
    """Settings of the native solver: those of MJWarp, and two of its own."""

    class_type: type[NewtonManager] | str = "legged_cts.physics.mujoco_native:NewtonNativeMujocoManager"

    threads: int = 0
    """Number of threads; 0 takes every core."""

    longest_tick: float | None = None
    """Ticks are taken as one up to this length [s]; None takes each for itself."""
