"""Checks of the native solver that share one simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from envs_support import running

NUM_ENVS = 6


def record_of_checks() -> dict[str, Any]:
    """Randomise, change one world, poison one world, and report."""
    with running(f"env.scene.num_envs={NUM_ENVS}", "solver.longest_tick=null") as env:
        from isaaclab_newton.physics import NewtonManager

        solver = NewtonManager._solver
        env.step(torch.zeros(NUM_ENVS, 12))
        worlds = solver._worlds
        record = {"equal": _mirrored(solver), "spread": _spread(worlds)}

        robot = env.unwrapped.scene["robot"]
        before = _parameters(worlds)
        masses = robot.data.body_mass.torch.clone()
        masses[2, 0] += 1.5
        robot.set_masses_index(masses=masses[2:3, :1], env_ids=torch.tensor([2]), body_ids=torch.tensor([0]))
        env.step(torch.zeros(NUM_ENVS, 12))
        after = _parameters(worlds)
        record["changed_worlds"] = [i for i in range(NUM_ENVS) if not _same(before[i], after[i])]
        record["added"] = float((after[2]["body_mass"] - before[2]["body_mass"]).sum())
        record["equal_after"] = _mirrored(solver)

        record["torque"] = _torque_error(env)
        record["in_one_piece"] = _in_one_piece(env, solver)
        record |= _poison(env)
        record["separate_reset"] = _reset_one(env)
        record["lifted_worlds"] = _lift(env)
        record["ticks"] = _merged_ticks(env, solver)
    return record


def _merged_ticks(env, solver) -> dict[float | None, tuple[int, float, list[int]]]:
    """Number and length of ticks, and for how many of them each world had its last targets, by the longest tick."""
    delays = torch.tensor([0, 1, 2, 3, 4, 0], dtype=torch.int32)
    result = {}
    for longest in (0.01, None):
        env.unwrapped.sim.physics_manager.set_longest_tick(longest)
        for _ in range(2):
            env.step(torch.zeros(NUM_ENVS, 12))
        before = solver._last_commands[0][:, -1:, solver._position_actuators]
        env.unwrapped.joint_action.delay_ticks[:] = delays
        env.step(torch.ones(NUM_ENVS, 12))
        commands = solver._last_commands[0][:, :, solver._position_actuators]
        late = (commands == before).all(2).sum(1)
        result[longest] = commands.shape[1], solver._worlds.models[0].opt.timestep, late.tolist()
    return result


def _parameters(worlds) -> list[dict[str, np.ndarray]]:
    names = ("body_mass", "body_ipos", "body_inertia", "dof_armature", "geom_friction", "actuator_gainprm")
    return [{name: np.array(getattr(model, name)) for name in names} for model in worlds.models]


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)


def _mirrored(solver) -> bool:
    """Whether every world's own model holds the row of Newton's batched parameters that belongs to it."""
    from legged_cts.physics.world_models import MIRRORED

    for name in MIRRORED:
        batched = getattr(solver.mjw_model, name).numpy()
        if batched.size == 0:
            continue
        batched = np.broadcast_to(batched, (NUM_ENVS, *batched.shape[1:]))
        for world, model in enumerate(solver._worlds.models):
            value = np.array(getattr(model, name))
            if not np.allclose(value, batched[world].reshape(value.shape), rtol=1e-6, atol=1e-9):
                return False
    return True


def _spread(worlds) -> dict[str, float]:
    """Smallest difference between any two worlds, per randomised parameter; positive where it is per world."""
    result = {}
    for name, parameters in {
        "mass": [p["body_mass"].sum() for p in _parameters(worlds)],
        "com": [p["body_ipos"][1].sum() for p in _parameters(worlds)],
        "friction": [p["geom_friction"][1:, 0].mean() for p in _parameters(worlds)],
        "armature": [p["dof_armature"].sum() for p in _parameters(worlds)],
        "gains": [p["actuator_gainprm"][:, 0].sum() for p in _parameters(worlds)],
    }.items():
        values = np.sort(np.array(parameters))
        result[name] = float(np.diff(values).min())
    return result


class _Recorded:
    """Puts itself before a method of an object and remembers the arguments of its calls."""

    def __init__(self, owner, name: str) -> None:
        self.calls: list[tuple] = []
        self._method = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *arguments):
        self.calls.append(arguments)
        return self._method(*arguments)


def _in_one_piece(env, solver) -> bool:
    """Whether ticks without sensors before the last one lead where all ticks with sensors lead, bit by bit."""
    rolled = _Recorded(solver, "_roll")
    env.step(0.2 * torch.ones(NUM_ENVS, 12))
    models, first, commands, spec = rolled.calls[-1]
    del solver._roll
    states, readings = solver._roll(models, first, commands, spec)
    all_states, all_readings = solver._rollout(models, first, commands, spec)
    flags = {model.opt.disableflags for model in models}
    alone = flags == {solver._worlds.base.opt.disableflags}
    return alone and np.array_equal(states, all_states) and np.array_equal(readings, all_readings)


def _torque_error(env) -> float:
    """Largest difference between the measured torque and kp (target - q) - kd qd at the start of the last tick."""
    unwrapped = env.unwrapped
    from isaaclab_newton.physics import NewtonManager

    solver = NewtonManager._solver
    rolled = _Recorded(solver, "_rollout")
    env.step(0.2 * torch.ones(NUM_ENVS, 12))
    _, states, *_ = rolled.calls[-1]  # the last tick is a call of its own
    del solver._rollout
    base = solver._worlds.base
    q, qd = states[:, 8 : 1 + base.nq], states[:, 1 + base.nq + 6 : 1 + base.nq + base.nv]
    robot = unwrapped.scene["robot"].data
    kp, kd = robot.joint_stiffness.torch.numpy(), robot.joint_damping.torch.numpy()
    limit = robot.joint_effort_limits.torch.numpy()
    target = unwrapped.joint_action.current_target.numpy()
    expected = np.clip(kp * (target - q) - kd * qd, -limit, limit)
    return float(np.abs(solver.actuator_force()[:, 6:] - expected).max())


def _poison(env) -> dict[str, object]:
    """Write a NaN velocity into world 3: it is reset and counted, the others go on as if nothing had happened."""
    unwrapped = env.unwrapped
    robot = unwrapped.scene["robot"]
    count = int(unwrapped.nan_resets)
    velocity = robot.data.joint_vel.torch[3:4].clone()
    velocity[:] = float("nan")
    robot.write_joint_velocity_to_sim_index(velocity=velocity, env_ids=torch.tensor([3], dtype=torch.int32))
    lengths = unwrapped.episode_length_buf.clone()
    observations, rewards, dones, _ = env.step(torch.zeros(NUM_ENVS, 12))
    finite = all(bool(group.isfinite().all()) for group in observations.values())
    rewards, dones = rewards.clone(), dones.clone()  # the environment writes into the same buffers every step
    later, _, _, _ = env.step(torch.zeros(NUM_ENVS, 12))
    others = [i for i in range(NUM_ENVS) if i != 3]
    return {
        "nan_resets": int(unwrapped.nan_resets) - count,
        "nan_done": bool(dones[3]),
        "nan_reward": float(rewards[3]),
        "finite": finite and bool(rewards.isfinite().all()) and bool(later["proprioception"].isfinite().all()),
        "others_go_on": bool((unwrapped.episode_length_buf[others] == lengths[others] + 2).all()),
    }


def _reset_one(env) -> bool:
    """Resetting world 1 moves nothing in the other worlds."""
    unwrapped = env.unwrapped
    robot = unwrapped.scene["robot"].data
    before = robot.joint_pos.torch.clone()
    unwrapped._reset_idx(torch.tensor([1], dtype=torch.int32))
    after = unwrapped.scene["robot"].data.joint_pos.torch
    others = [i for i in range(NUM_ENVS) if i != 1]
    return bool(torch.equal(before[others], after[others]) and not torch.equal(before[1], after[1]))


def _lift(env) -> list[int]:
    """Push the base of world 4 upwards with three times the robot's weight; returns the worlds that take off."""
    from isaaclab_newton.physics import NewtonManager

    base = [i for i, label in enumerate(NewtonManager.get_model().body_label) if label.endswith("/base")][4]

    def force(state) -> None:
        # Newton's spatial force is (force, torque) in the world frame.
        state.body_f.numpy()[base, 2] += 3.0 * 149.17

    NewtonManager.register_state_force_callback(force)
    env.unwrapped.reset()
    for _ in range(5):
        env.step(torch.zeros(NUM_ENVS, 12))
    # Three weights less one, for 0.1 s: 2 g * 0.1 s = 1.96 m/s, were the legs not pulled along.
    speed = env.unwrapped.scene["robot"].data.root_lin_vel_w.torch[:, 2]
    return (speed > 1.0).nonzero().flatten().tolist()
