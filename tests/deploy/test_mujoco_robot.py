import dataclasses
from pathlib import Path

import mujoco
import numpy as np
import pytest
from deploy_policies import make_contract, write_linear_policy

from legged_cts.deploy.contract import ContractError
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.evaluate import fallen
from legged_cts.deploy.mujoco_robot import MujocoRobot, SensorNoise
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.terrain.courses import COURSES
from legged_cts.terrain.grid import rough_terrain


@pytest.fixture(scope="module")
def go2() -> RobotSpec:
    return load_robot("go2")


def _robot(spec: RobotSpec, **options: object) -> MujocoRobot:
    return MujocoRobot(spec, 0.02, 0.005, **options)  # type: ignore[arg-type]


def _hold(robot: MujocoRobot, steps: int) -> None:
    for _ in range(steps):
        robot.send_targets(np.array(robot.spec.nominal_pose))


def test_it_stands_on_action_zero(go2: RobotSpec, zero_policy: Path) -> None:
    robot = _robot(go2)
    controller = Controller(OnnxPolicy(zero_policy), robot)
    for _ in range(150):
        np.testing.assert_array_equal(controller.step(np.zeros(3)), np.zeros(12))
    assert not fallen(robot)
    assert robot.tilt < 0.1
    assert 0.2 < robot.clearance < 0.36
    assert robot.foot_contact.all() and (robot.foot_speeds < 0.05).all()
    assert np.abs(robot.velocity).max() < 0.05


def test_it_stands_on_rough_ground(go2: RobotSpec) -> None:
    for seed in range(3):
        robot = _robot(go2, terrain=rough_terrain(0.3, seed, tiles=1))
        _hold(robot, 50)
        assert not fallen(robot)
        assert robot.foot_contact.sum() >= 3


def test_the_simulated_ground_is_where_the_heights_say(go2: RobotSpec) -> None:
    robot = _robot(go2, terrain=rough_terrain(0.8, 2, kinds=("slopes",), tiles=1))
    assert robot.terrain is not None
    geom = np.zeros(1, dtype=np.int32)
    for x, y in ((2.0, 0.3), (-1.5, 2.5), (0.7, -3.1)):
        above = np.array([x, y, 10.0])
        groups = np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8)
        depth = mujoco.mj_ray(robot.model, robot.data, above, np.array([0, 0, -1.0]), groups, True, -1, geom)
        assert 10.0 - depth == pytest.approx(float(robot.terrain.height_at(x, y)), abs=0.01)


def test_steps_have_upright_sides(go2: RobotSpec) -> None:
    """A ray down finds every tread up to its riser; a foot touches a tread once, at the ground's friction."""
    ground = COURSES["stairs_up_15"].heights(0)
    robot = _robot(go2, terrain=ground, friction=0.7)
    hit, colliding = np.zeros(1, dtype=np.int32), np.array([0, 0, 0, 1, 0, 0], dtype=np.uint8)
    rows, cols = ground.heights.shape
    row, risers = rows // 2, np.flatnonzero(np.diff(ground.heights[rows // 2]))
    for col in risers:
        for x, height in ((col + 0.45, ground.heights[row, col]), (col + 0.55, ground.heights[row, col + 1])):
            place = np.array([x * ground.cell - ground.half_size[0], 0.0, 10.0])
            depth = mujoco.mj_ray(robot.model, robot.data, place, np.array([0.0, 0.0, -1.0]), colliding, 1, -1, hit)
            assert 10.0 - depth == pytest.approx(height, abs=1e-6)
    _hold(robot, 50)
    assert robot.foot_contact.all() and len(robot.data.contact) == 4
    np.testing.assert_allclose(robot.data.contact.friction[:, 0], 0.7)
    robot.set_friction(0.4)
    _hold(robot, 1)
    np.testing.assert_allclose(robot.data.contact.friction[:, 0], 0.4)


def test_pd_torque_of_a_held_joint(go2: RobotSpec) -> None:
    """kp (target - q) - kd q' at the first tick, and the effort limit for a target far away."""
    robot = _robot(go2)
    pose = np.array(go2.nominal_pose)
    robot.data.qvel[robot.dofs] = 0.5
    robot.data.ctrl[:] = pose + 0.1
    mujoco.mj_forward(robot.model, robot.data)
    np.testing.assert_allclose(robot.torques, 25.0 * 0.1 - 0.5 * 0.5, rtol=1e-9)
    robot.data.ctrl[:] = pose + 10.0
    mujoco.mj_forward(robot.model, robot.data)
    np.testing.assert_allclose(robot.torques, go2.effort_limit)


def test_joints_follow_the_spec_order_not_the_mjcf_order(go2: RobotSpec) -> None:
    order = [5, 0, 7, 2, 9, 4, 11, 6, 1, 8, 3, 10]
    shuffled = dataclasses.replace(
        go2,
        **{
            name: tuple(getattr(go2, name)[i] for i in order)
            for name in ("joints", "nominal_pose", "stiffness", "damping", "effort_limit")
        },
    )
    a, b = _robot(go2), _robot(shuffled)
    _hold(a, 20)
    _hold(b, 20)
    np.testing.assert_allclose(b.read_state().joint_pos, a.read_state().joint_pos[order], atol=1e-9)
    np.testing.assert_allclose(b.torques, a.torques[order], atol=1e-6)


def test_falls_are_seen(go2: RobotSpec) -> None:
    robot = _robot(go2)
    assert not fallen(robot)
    root = robot.root
    robot.data.qpos[root + 3 : root + 7] = (np.cos(0.51), np.sin(0.51), 0, 0)
    assert robot.tilt == pytest.approx(1.02) and fallen(robot)
    robot.reset()
    robot.data.qpos[root + 2] = 0.49 * go2.nominal_height
    assert fallen(robot)
    robot.reset()
    # Legs folded to the limits, the robot drops on its belly.
    robot.data.qpos[root + 2] = 0.2
    folded = np.tile([0.0, 2.5, -2.6], 4)
    robot.data.qpos[robot.qpos] = folded
    for _ in range(50):
        robot.send_targets(folded)
        if robot.base_touched:
            break
    assert robot.base_touched and fallen(robot)


def test_velocity_is_in_the_yaw_aligned_frame(go2: RobotSpec) -> None:
    robot = _robot(go2)
    robot.reset(yaw=np.pi / 2)
    robot.data.qvel[:6] = (1.0, 2.0, 0.0, 0.0, 0.0, 0.3)
    # Facing +y: the world's +y is forward, the world's +x is to the right.
    np.testing.assert_allclose(robot.velocity, [2.0, -1.0, 0.3], atol=1e-12)


def test_actions_arrive_after_the_delay(go2: RobotSpec) -> None:
    robot = _robot(go2, action_delay=0.03)
    pose = np.array(go2.nominal_pose)
    robot.send_targets(pose + 0.1)
    np.testing.assert_array_equal(robot.data.ctrl, pose)
    # 30 ms are one period and half of the next one; the second targets are still on their way.
    robot.send_targets(pose + 0.2)
    np.testing.assert_allclose(robot.data.ctrl, pose + 0.1)
    robot.send_targets(pose + 0.2)
    np.testing.assert_allclose(robot.data.ctrl, pose + 0.2)


def test_noise_is_bounded_seeded_and_off_by_default(go2: RobotSpec) -> None:
    clean, noisy = _robot(go2).read_state(), []
    noise = SensorNoise(ang_vel=0.2, tilt=0.05, joint_pos=0.01, joint_vel=1.5)
    for _ in range(2):
        robot = _robot(go2, noise=noise, seed=7)
        noisy.append([robot.read_state() for _ in range(50)])
    np.testing.assert_array_equal(clean.joint_pos, go2.nominal_pose)
    np.testing.assert_array_equal(clean.quat, [1, 0, 0, 0])
    np.testing.assert_array_equal(noisy[0][3].joint_vel, noisy[1][3].joint_vel)
    deviation = np.stack([state.joint_pos for state in noisy[0]]) - go2.nominal_pose
    assert 0.009 < np.abs(deviation).max() <= 0.01
    assert 1.4 < np.abs(np.stack([state.joint_vel for state in noisy[0]])).max() <= 1.5
    angles = [2 * np.arccos(min(1.0, state.quat[0])) for state in noisy[0]]
    assert 0.02 < max(angles) <= 0.05 * np.sqrt(3)


def test_base_mass_and_friction_reach_the_model(go2: RobotSpec) -> None:
    robot = _robot(go2, base_mass=2.0, friction=0.3)
    assert robot.mass == pytest.approx(go2.total_mass + 2.0)
    _hold(robot, 30)
    assert robot.data.ncon == 4
    np.testing.assert_allclose(robot.data.contact.friction[:, 0], 0.3)


def test_payload_and_friction_change_while_it_runs(go2: RobotSpec) -> None:
    robot, built = _robot(go2), _robot(go2, base_mass=2.0, friction=0.3)
    robot.set_payload(5.0)
    robot.set_payload(2.0)
    robot.set_friction(0.3)
    assert robot.mass == pytest.approx(go2.total_mass + 2.0)
    for name in ("body_mass", "body_inertia", "body_subtreemass", "dof_invweight0", "geom_friction"):
        np.testing.assert_allclose(getattr(robot.model, name), getattr(built.model, name), rtol=1e-9, err_msg=name)
    for simulated in (robot, built):
        _hold(simulated, 30)
    np.testing.assert_allclose(robot.data.qpos, built.data.qpos, atol=1e-9)
    robot.set_payload(0.0)
    assert robot.mass == pytest.approx(go2.total_mass)
    with pytest.raises(ValueError, match="base_mass"):
        robot.set_payload(-20.0)
    with pytest.raises(ValueError, match="friction must be above 0"):
        robot.set_friction(float("nan"))


def test_it_starts_where_it_is_put_on_the_ground_there(go2: RobotSpec) -> None:
    robot = _robot(go2, terrain=rough_terrain(0.8, 2, kinds=("slopes",), tiles=1))
    robot.reset(place=(2.0, -1.0))
    np.testing.assert_allclose(robot.base_pos[:2], (2.0, -1.0))
    assert go2.nominal_height <= robot.clearance < go2.nominal_height + 0.4


def test_torques_are_told_as_shares_of_their_limits(go2: RobotSpec) -> None:
    robot = _robot(go2)
    _hold(robot, 20)
    np.testing.assert_allclose(robot.torque_share, np.abs(robot.torques) / go2.effort_limit)
    assert 0.05 < robot.torque_share.max() < 0.6
    # Targets far off ask for more than there is.
    robot.send_targets(np.array(go2.nominal_pose) + 3.0)
    assert robot.torque_share.max() == pytest.approx(1.0)
    np.testing.assert_array_equal(robot.joint_pos, robot.read_state().joint_pos)


def test_push_adds_velocity(go2: RobotSpec) -> None:
    robot = _robot(go2)
    robot.push(np.array([0.5, -0.5, 0.0]))
    np.testing.assert_allclose(robot.velocity[:2], [0.5, -0.5])


def test_bad_arguments_are_named(go2: RobotSpec) -> None:
    with pytest.raises(ValueError, match="control_dt"):
        MujocoRobot(go2, 0.02, 0.006)
    with pytest.raises(ValueError, match="friction"):
        _robot(go2, friction=0.0)
    with pytest.raises(ValueError, match="base_mass"):
        _robot(go2, base_mass=-20.0)
    with pytest.raises(ValueError, match="targets"):
        _robot(go2).send_targets(np.full(12, np.nan))


def test_controller_feeds_the_last_action_back(go2: RobotSpec, tmp_path: Path) -> None:
    """a_t = 1 + a_(t-1) / 2 while the robot stays level, with the 1 taken from gravity's z."""
    now = np.zeros((45, 12))
    now[5, 0], now[33, 0] = -1.0, 0.5
    robot = _robot(go2)
    controller = Controller(OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", make_contract(), now)), robot)
    for _ in range(2):
        actions = [controller.step(np.zeros(3))[0] for _ in range(4)]
        np.testing.assert_allclose(actions, [1.0, 1.5, 1.75, 1.875], atol=0.01)
        robot.reset()
        controller.reset()


def test_controller_refuses_another_rate_or_order(go2: RobotSpec, zero_policy: Path) -> None:
    policy = OnnxPolicy(zero_policy)
    with pytest.raises(ContractError, match="control_dt: 0.02 in the policy but 0.01 in the robot"):
        Controller(policy, MujocoRobot(go2, 0.01, 0.005))
    robot = _robot(go2)
    robot.joints = robot.joints[::-1]
    with pytest.raises(ContractError, match="joints"):
        Controller(policy, robot)
