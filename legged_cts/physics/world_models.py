"""One ``MjModel`` per world, kept equal to Newton's batched parameters."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np

from legged_cts.physics.shared_heights import copy_with_heights, without_heights

# Fields of MuJoCo Warp's model that Newton may change per world and that native MuJoCo reads. Derived constants
# (inverse weights, subtree masses) are in the list, so that no ``mj_setConst`` per world is needed.
MIRRORED = (
    "qpos0",
    "qpos_spring",
    "body_pos",
    "body_quat",
    "body_ipos",
    "body_iquat",
    "body_mass",
    "body_subtreemass",
    "body_inertia",
    "body_invweight0",
    "body_gravcomp",
    "jnt_solref",
    "jnt_solimp",
    "jnt_pos",
    "jnt_axis",
    "jnt_stiffness",
    "jnt_range",
    "jnt_actfrcrange",
    "jnt_margin",
    "dof_armature",
    "dof_damping",
    "dof_invweight0",
    "dof_frictionloss",
    "dof_solimp",
    "dof_solref",
    "geom_solmix",
    "geom_solref",
    "geom_solimp",
    "geom_size",
    "geom_rbound",
    "geom_pos",
    "geom_quat",
    "geom_friction",
    "geom_margin",
    "geom_gap",
    "actuator_gainprm",
    "actuator_biasprm",
    "actuator_ctrlrange",
    "actuator_forcerange",
    "actuator_gear",
    "actuator_acc0",
)
SOLVER_OPTIONS = (
    "iterations",
    "ls_iterations",
    "integrator",
    "cone",
    "solver",
    "jacobian",
    "impratio",
    "enableflags",
    "disableflags",
)
OPTIONS = ("gravity", "density", "viscosity", "wind", "magnetic", "tolerance", "ls_tolerance", "ccd_tolerance")
MEMORY_SHARE = 0.6


class WorldModels:
    """The models that the native solver rolls out.

    Args:
        spec: The spec that Newton compiled.
        compiled: Newton's compiled model; post-compilation changes are taken over from it.
        num_worlds: Number of worlds.

    Raises:
        ValueError: If the models would not fit into the machine's memory.
    """

    def __init__(self, spec: mujoco.MjSpec, compiled: mujoco.MjModel, num_worlds: int) -> None:
        _add_sensors(spec, compiled)

        def compile_model() -> mujoco.MjModel:
            return _with_arrays_of(compiled, spec.compile())

        self.base = compile_model()
        small = without_heights(compile_model, spec)
        need = self.base.nbuffer + (small or self.base).nbuffer * num_worlds
        have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if need > MEMORY_SHARE * have:
            raise ValueError(
                f"physics=mujoco_cpu keeps one model per environment, which for env.scene.num_envs={num_worlds} takes "
                f"{need / 2**30:.1f} GiB of this machine's {have / 2**30:.1f} GiB; take fewer environments or a "
                "smaller terrain (terrain.levels, terrain.columns)"
            )
        self.models = [
            copy.copy(self.base) if small is None else copy_with_heights(small, self.base) for _ in range(num_worlds)
        ]
        self._options = [model.opt for model in self.models]
        self._mirrored: dict[str, np.ndarray] = {}
        sensors = [self.base.sensor(i) for i in range(self.base.nsensor)]
        contact = [s for s in sensors if s.type[0] == mujoco.mjtSensor.mjSENS_CONTACT]
        joints = [s for s in sensors if s.type[0] == mujoco.mjtSensor.mjSENS_JOINTACTFRC]
        self._contact_bodies = np.array([s.objid[0] for s in contact], dtype=int)
        self._contact_columns = np.array([np.arange(s.adr[0], s.adr[0] + 3) for s in contact], dtype=int).reshape(-1, 3)
        self._force_dofs = np.array([self.base.jnt_dofadr[s.objid[0]] for s in joints], dtype=int)
        self._force_columns = np.array([s.adr[0] for s in joints], dtype=int)
        self._timestep = float("nan")

    def mirror(self, batched: Any) -> None:
        """Copy what changed in MuJoCo Warp's ``batched`` model into the worlds it changed for."""
        for name in MIRRORED:
            self._mirror_field(name, getattr(batched, name).numpy(), self.models)
        for name in OPTIONS:
            self._mirror_field(name, getattr(batched.opt, name).numpy(), self._options)
        self._mirror_field("meaninertia", batched.stat.meaninertia.numpy(), [model.stat for model in self.models])

    def _mirror_field(self, name: str, values: np.ndarray, owners: list[Any]) -> None:
        if values.size == 0:
            return
        values = np.broadcast_to(values, (len(owners), *values.shape[1:]))
        old = self._mirrored.get(name)
        if old is None:
            changed = np.arange(len(owners))
            self._mirrored[name] = values.copy()
        else:
            changed = np.flatnonzero((values != old).reshape(len(owners), -1).any(1))
            old[changed] = values[changed]
        scalar = values.ndim == 1
        for world in changed:
            if scalar:
                setattr(owners[world], name, float(values[world]))
            else:
                target = getattr(owners[world], name)
                target[...] = values[world].reshape(target.shape)

    def set_timestep(self, dt: float) -> None:
        """Set the length of a tick [s] in every world."""
        if dt != self._timestep:
            for option in self._options:
                option.timestep = dt
            self._timestep = dt

    @contextlib.contextmanager
    def without_sensors(self) -> Iterator[None]:
        """Compute no sensor while the context lasts."""
        flag = int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
        flags = self.base.opt.disableflags
        for option in self._options:
            option.disableflags = flags | flag
        try:
            yield
        finally:
            for option in self._options:
                option.disableflags = flags

    def contact_forces(self, sensordata: np.ndarray) -> np.ndarray:
        """Net contact force on each body, world frame [N], float64 [num_worlds, nbody, 3], from the sensors' output."""
        forces = np.zeros((len(sensordata), self.base.nbody, 3))
        # MuJoCo reports the force that the body exerts.
        forces[:, self._contact_bodies] = -sensordata[:, self._contact_columns]
        return forces

    def actuator_forces(self, sensordata: np.ndarray) -> np.ndarray:
        """Actuator torque at each degree of freedom [N m], float64 [num_worlds, nv], from the sensors' output."""
        forces = np.zeros((len(sensordata), self.base.nv))
        forces[:, self._force_dofs] = sensordata[:, self._force_columns]
        return forces


def _add_sensors(spec: mujoco.MjSpec, compiled: mujoco.MjModel) -> None:
    """Give ``spec`` a net contact force per colliding body and an actuator force per driven joint."""
    net_force = [1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE), 3, 1]
    collides = (compiled.geom_contype != 0) | (compiled.geom_conaffinity != 0)
    for body in sorted({int(b) for b in compiled.geom_bodyid[collides] if b != 0}):
        spec.add_sensor(
            name=f"contact_{body}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname=compiled.body(body).name,
            intprm=net_force,
        )
    for joint in range(compiled.njnt):
        if compiled.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE:
            spec.add_sensor(
                name=f"actuator_{joint}",
                type=mujoco.mjtSensor.mjSENS_JOINTACTFRC,
                objtype=mujoco.mjtObj.mjOBJ_JOINT,
                objname=compiled.joint(joint).name,
            )


def _with_arrays_of(compiled: mujoco.MjModel, model: mujoco.MjModel) -> mujoco.MjModel:
    """Take every array of the same shape from Newton's model, which corrects some after its compilation."""
    for name in dir(compiled):
        value = getattr(compiled, name, None)
        # A compiled height field may have fewer points than the spec's.
        if not name.startswith(("_", "sensor", "hfield")) and isinstance(value, np.ndarray):
            target = getattr(model, name)
            if target.shape == value.shape:
                target[...] = value
    for name in OPTIONS + SOLVER_OPTIONS:
        value = getattr(compiled.opt, name)
        if isinstance(value, np.ndarray):
            getattr(model.opt, name)[...] = value
        else:
            setattr(model.opt, name, value)
    # A world's centre of mass may move off its body's frame, and a world that diverges must say so.
    model.body_sameframe[:] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    # MuJoCo searches the colliders of a body in a tree of boxes that compilation laid along its principal axes. Here
    # inertias change later (Newton orders the axes anew, randomisation shifts the centre), the boxes would turn with
    # them, and contacts of bodies with several colliders would be missed.
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
    # To ask whether the last tick's acceleration is a better start than the unconstrained one takes longer than the
    # iterations that it saves: a tenth of the tick of a Go2 under random actions.
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
    return model
