"""The Go2 on uneven ground with everything randomised: terrain, curriculum, randomised physics, pushes."""

import math

import mujoco
import numpy as np
import pytest
import torch
from envs_support import NO_CLOCK, running, zeros
from isaaclab_newton.physics import NewtonManager

from legged_cts.mdp.terminations import TERMINATIONS
from legged_cts.mdp.terrain_columns import column_names
from legged_cts.roles import teacher_mask
from legged_cts.terrain.kinds import DIRECTED, KINDS

OVERRIDES = (
    "terrain=rough",
    "terrain.levels=3",
    "terrain.columns=12",
    "terrain.resolution=0.1",
    "terrain.kinds.curbs.proportion=1",
    "terrain.kinds.tyres.proportion=1",
    "terrain.kinds.stairs_up.proportion=1",
    "terrain.kinds.slopes.proportion=1",
    "env.scene.num_envs=80",
    "env.pushes.interval_s=[0.1,0.1]",
    "env.terminations.passed=true",
)


@pytest.fixture(scope="module")
def env():
    with running(*NO_CLOCK, *OVERRIDES) as env:
        # What robots did is set by hand here: who has passed goes on, but for the test of that.
        env.unwrapped.termination_manager.get_term_cfg("passed").func = lambda env: torch.zeros(
            env.num_envs, dtype=bool
        )
        yield env


def test_look_up_agrees_with_the_ground_of_the_physics_engine(inner):
    heights = inner.scene.terrain.heights
    model = NewtonManager._solver._worlds.base
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    x_min, y_min, x_max, y_max = heights.extent
    assert (x_max - x_min, y_max - y_min) == pytest.approx((3 * 8 + 6, 12 * 8 + 6))
    random = np.random.default_rng(0)
    group = np.zeros(6, np.uint8)
    group[model.geom_group[model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD]] = 1
    worst_node = worst = 0.0
    for _ in range(1000):
        node = np.array([random.integers(2, size - 2) for size in heights.grid.shape])
        inside = random.uniform(0.05, 0.95, 2)
        for offset in (np.full(2, 1e-3), inside):
            x, y = np.array([x_min, y_min]) + 0.1 * (node + offset)
            distance = mujoco.mj_ray(
                model, data, np.array([x, y, 50.0]), np.array([0.0, 0.0, -1.0]), group, 1, -1, np.zeros(1, np.int32)
            )
            error = abs(50.0 - distance - heights.sample(torch.tensor([x, y])).item())
            # Within a cell triangles and a bilinear surface differ by at most a quarter of the cell's twist.
            corner = heights.grid[node[0] : node[0] + 2, node[1] : node[1] + 2]
            twist = (corner[0, 0] + corner[1, 1] - corner[0, 1] - corner[1, 0]).abs().item()
            if offset is inside:
                worst = max(worst, error - 0.25 * twist)
            else:
                worst_node = max(worst_node, error - 0.002 * twist)
    assert worst_node < 1e-3 and worst < 1e-3


def test_the_lowest_point_is_zero_and_levels_get_harder(inner):
    terrain = inner.scene.terrain
    grid = terrain.heights.grid
    assert grid.min() == 0.0
    names = column_names(terrain.cfg.terrain_generator)
    assert names == [kind for kind in KINDS if kind not in DIRECTED]
    for column, name in enumerate(names):
        tiles = grid[30:-31, 30 + 80 * column : 30 + 80 * (column + 1)].reshape(3, 80, 80)
        ranges = (tiles.amax((1, 2)) - tiles.amin((1, 2))).tolist()
        if name == "flat":
            assert max(ranges) == 0.0
        else:
            assert ranges[0] < ranges[2], name


def test_robots_start_on_the_ground_and_not_inside_or_above_it(env, inner):
    terrain = inner.scene.terrain
    types = terrain.terrain_types.clone()
    # Every level and kind of terrain, many times over.
    for start in range(12):
        terrain.terrain_types[:] = (torch.arange(80) + start) % 12
        terrain.terrain_levels[:] = torch.arange(80) % 3
        terrain.env_origins[:] = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]
        env.reset()
        state = inner.state.refresh()
        # Feet of legs at random angles are up to 4 cm from where they stand in the nominal pose.
        assert state.foot_height.min() > -0.05 and state.foot_height.max() < 0.1
        assert (state.base_height - inner.robot_spec.nominal_height).abs().max() < 0.05
    terrain.terrain_types[:] = types
    terrain.env_origins[:] = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]
    env.reset()
    inner.state.refresh()
    for _ in range(15):
        _, _, dones, _ = env.step(zeros(env))
        assert not dones.any()
    assert (inner.state.base_height > 0.15).all() and (inner.state.base_height < 0.45).all()


def test_height_scan_sees_the_ground_around(env, inner):
    obs, *_ = env.step(zeros(env))
    scan = obs["height_scan"].reshape(-1, 17, 11)
    state = inner.state
    ahead = torch.stack((torch.cos(state.yaw), torch.sin(state.yaw)), dim=1)
    for row, distance in ((0, -0.8), (8, 0.0), (16, 0.8)):
        point = state.root_pos_w[:, :2] + distance * ahead
        height = state.root_pos_w[:, 2] - inner.robot_spec.nominal_height - state.heights.sample(point)
        torch.testing.assert_close(scan[:, row, 5], height.clamp(-1, 1), atol=1e-4, rtol=0.0)


def test_randomised_physics_reaches_the_simulator(inner):
    robot, params, spec = inner.scene["robot"], inner.physics_params, inner.robot_spec
    data = robot.data
    torch.testing.assert_close(data.joint_stiffness.torch, torch.tensor(spec.stiffness) * params.stiffness_scale)
    torch.testing.assert_close(data.joint_damping.torch, torch.tensor(spec.damping) * params.damping_scale)
    torch.testing.assert_close(data.joint_armature.torch, torch.tensor(spec.armature) * params.armature_scale)
    model = mujoco.MjModel.from_xml_path(str(spec.mjcf))
    base = robot.body_names.index(spec.base)
    default = model.body(spec.base)
    scale = (data.body_mass.torch[:, base] - params.added_mass) / default.mass[0]
    assert (scale > 0.899).all() and (scale < 1.101).all() and scale.std() > 0.03
    shift = data.body_com_pos_b.torch[:, base] - torch.tensor(default.ipos, dtype=torch.float32)
    torch.testing.assert_close(shift, params.com_shift, atol=1e-6, rtol=1e-4)
    added = 0.15 * default.mass[0]
    ranges = {
        "friction": (0.3, 1.7),
        "added_mass": (-added, added),
        "com_shift": (-0.03, 0.03),
        "joint_zero": (-0.035, 0.035),
    }
    for name, (low, high) in ranges.items():
        values = getattr(params, name)
        assert low <= values.min() and values.max() <= high and values.std() > 0.2 * (high - low)


def test_friction_of_a_contact_is_the_robots(inner):
    # MuJoCo takes the larger coefficient of the pair, so the ground's must be the smaller.
    friction = NewtonManager._solver.mjw_model.geom_friction.numpy()[:, :, 0]
    model = NewtonManager._solver.mj_model
    ground = model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD
    assert not friction[:, ground].any()
    np.testing.assert_allclose(friction[:, ~ground], inner.physics_params.friction[:, None].expand(-1, 14), rtol=1e-5)


def test_every_delay_occurs(env, inner):
    assert sorted(inner.joint_action.delay_ticks.unique().tolist()) == [0, 1, 2, 3]
    obs, *_ = env.step(zeros(env))
    assert torch.equal(inner.clean_frame, obs["privileged"][:, :45])


def test_encoder_error_is_in_what_the_student_sees_and_not_in_the_clean_frame(env, inner):
    frames = []
    for _ in range(40):
        obs, *_ = env.step(zeros(env))
        frames.append(obs["proprioception"][:, 9:21] - inner.clean_frame[:, 9:21])
    # Uniform noise of +-0.01 averages out, the error stays.
    assert (torch.stack(frames).mean(0) - inner.physics_params.joint_zero).abs().max() < 0.006


def test_pushes_change_the_velocity_and_the_teacher_sees_them(env, inner):
    pushed = torch.zeros(env.num_envs, dtype=torch.bool)
    for _ in range(10):
        env.step(zeros(env))
        change = inner.push_velocity
        pushed |= change.any(dim=1)
        assert (change[:, :2].abs() <= 0.4).all() and (change[:, 2].abs() <= 0.6).all()
    assert pushed.all()


def end_episodes(env, inner, share, ids=slice(None)):
    """Let full-length episodes end in which every robot was led 4.5 m out and followed a share of its commands."""
    term = inner.curriculum_manager.cfg.terrain_levels.func
    term._start_step[:] = -int(inner.max_episode_length)
    robot, progress = inner.scene["robot"], inner.progress
    pose = robot.data.root_link_pose_w.torch.clone()
    pose[:, :2] = inner.scene.env_origins[:, :2]
    pose[:, 2] = inner.scene.terrain.heights.sample(pose[:, :2]) + 0.5
    pose[:, 3:] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    robot.write_root_pose_to_sim_index(root_pose=pose)
    robot.write_root_velocity_to_sim_index(root_velocity=torch.zeros(env.num_envs, 6))
    progress.left[:], progress.asked[:], progress.followed[:] = True, 10.0, 10.0 * share
    inner.episode_length_buf[ids] = inner.max_episode_length
    _, _, dones, extras = env.step(zeros(env))
    return dones.bool(), extras


def test_students_play_and_teachers_follow(env, inner):
    terrain = inner.scene.terrain
    teachers = teacher_mask(env.num_envs, 0.75)
    inner.student_mask = ~teachers
    term = inner.curriculum_manager.cfg.terrain_levels.func
    try:
        terrain.terrain_levels[:] = 0
        terrain.update_env_origins(
            torch.arange(80), torch.zeros(80, dtype=torch.bool), torch.zeros(80, dtype=torch.bool)
        )
        # Only the students walked far enough to matter; teachers follow them.
        done, extras = end_episodes(env, inner, share=0.9)
        assert done.all()
        assert (terrain.terrain_levels[~teachers] == 1).all()
        assert extras["log"]["Curriculum/terrain_levels/mean"] == 1.0
        for kind in range(len(term.names)):
            students = terrain.terrain_levels[(term.kind == kind) & ~teachers]
            assert set(terrain.terrain_levels[(term.kind == kind) & teachers].tolist()) <= set(students.tolist())
        origins = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]
        assert torch.equal(terrain.env_origins, origins)
        # A teacher's own success moves no one.
        terrain.terrain_levels[~teachers] = 0
        end_episodes(env, inner, share=0.9, ids=teachers.nonzero().flatten())
        assert (terrain.terrain_levels == 0).all()
        # Students that hardly moved go down, teachers along with them.
        terrain.terrain_levels[:] = 2
        terrain.env_origins[:] = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]
        end_episodes(env, inner, share=0.1)
        assert (terrain.terrain_levels == 1).all()
        # Without a student the teachers play.
        inner.student_mask = torch.zeros_like(teachers)
        _, extras = end_episodes(env, inner, share=0.9)
        assert (terrain.terrain_levels == 2).all() and extras["log"]["Curriculum/terrain_levels/mean"] == 2.0
    finally:
        inner.student_mask = None


def test_an_episode_cut_short_by_a_random_start_demotes_no_one(env, inner):
    terrain = inner.scene.terrain
    terrain.terrain_levels[:] = 1
    inner.progress.left[:], inner.progress.asked[:], inner.progress.followed[:] = False, 1.0, 0.0
    inner.episode_length_buf[:] = inner.max_episode_length
    env.step(zeros(env))
    assert (terrain.terrain_levels == 1).all()


def test_commands_lead_straight_across_as_often_as_asked(inner):
    term = inner.command_manager.get_term("velocity")
    everyone, y = torch.arange(80), term.vel_command_b[:, 1]
    for share, low, high in ((0.0, 0, 0), (0.5, 20, 60), (1.0, 80, 80)):
        term.cfg.across = share
        term._resample_command(everyone)
        straight = (y == 0.0) & ((term.heading_target == 0.0) | (term.heading_target == math.pi))
        assert low <= int(straight.sum()) <= high
    assert {0.0} < set(term.heading_target.tolist()) and (term.vel_command_b[:, 0] < 0.0).any()
    term.cfg.rel_heading_envs = 0.5
    term._resample_command(everyone)
    assert ((y == 0.0) == term.is_heading_env).all(), "who turns at a rate goes nowhere in particular"
    term.cfg.across, term.cfg.rel_heading_envs = 0.0, 1.0


def terrain_risers(inner, kind):
    """Heights of the steps of a kind, by level."""
    names = column_names(inner.scene.terrain.cfg.terrain_generator)
    return inner.scene.terrain.risers[:, names.index(kind)]


def test_what_robots_are_asked_and_climb_is_summed_and_counted_when_their_episodes_end(env, inner):
    env.step(zeros(env))
    progress, term = inner.progress, inner.levels
    for _ in range(5):
        env.step(zeros(env))
    running = inner.episode_length_buf > 5
    asked = 5 * inner.step_dt * inner.command[:, :2].norm(dim=1)
    assert (progress.asked[running] >= asked[running] - 1e-4).all() and (progress.followed[running].abs() < 0.3).all()
    before = term.climbs.clone()
    progress.climb[:] = 0.5
    inner.episode_length_buf[:] = inner.max_episode_length
    env.step(zeros(env))
    counted = (term.climbs - before).sum(dim=(0, 1))
    assert counted[0] == env.num_envs and counted[1] == pytest.approx(0.5 * env.num_envs)
    stairs = term.names.index("stairs_up")
    rows = (term.climbs - before)[stairs]
    steps = 0.5 / terrain_risers(inner, "stairs_up")
    torch.testing.assert_close(rows[:, 3], rows[:, 0] * steps)
    assert not (term.climbs - before)[term.names.index("flat"), :, 3].any()
    kinds = torch.bincount(term.kind, minlength=len(term.names)).float()
    torch.testing.assert_close((term.climbs - before).sum(dim=1)[:, 0], kinds)


def test_leaving_the_terrain_ends_the_episode_as_a_time_out(env, inner):
    robot = inner.scene["robot"]
    pose = robot.data.root_link_pose_w.torch[3:4].clone()
    x_min = inner.scene.terrain.heights.extent[0]
    pose[0, 0], pose[0, 2] = x_min + 0.5, inner.scene.terrain.heights.grid[0, 0] + 0.4
    robot.write_root_pose_to_sim_index(root_pose=pose, env_ids=torch.tensor([3]))
    _, _, dones, extras = env.step(zeros(env))
    assert inner.termination_manager.get_term("off_terrain").nonzero().flatten().tolist() == [3]
    assert dones[3] and extras["time_outs"][3]


def test_who_has_passed_begins_a_level_higher_at_once(env, inner, monkeypatch):
    monkeypatch.setattr(inner.termination_manager.get_term_cfg("passed"), "func", TERMINATIONS["passed"])
    inner.terrain.terrain_levels[:] = 0
    inner.terrain.env_origins[:] = inner.terrain.terrain_origins[0, inner.terrain.terrain_types]
    inner.reset()
    env.step(zeros(env))
    student = 7
    left = torch.zeros(env.num_envs, dtype=torch.bool)
    left[student] = True
    inner.progress.left |= left
    inner.progress.asked[student], inner.progress.followed[student] = 4.0, 3.0
    _, _, dones, extras = env.step(zeros(env))
    assert inner.termination_manager.get_term("passed").nonzero().flatten().tolist() == [student]
    assert dones[student] and extras["time_outs"][student] and inner.terrain.terrain_levels[student] == 1
    env.step(zeros(env))
    assert not inner.termination_manager.get_term("passed").any(), "the next episode has not left yet"
