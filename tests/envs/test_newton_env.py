"""The same task under MuJoCo Warp, whose decimation loop Newton owns."""

import torch
from envs_support import running, zeros


def test_delays_inside_newtons_loop_and_a_robot_that_stands():
    overrides = ("env.scene.num_envs=6", "randomization=none", "env.reset.velocity=[0,0]", "env.reset.joint_pos=[0,0]")
    with running("physics=newton_mjwarp", *overrides) as env:
        inner = env.unwrapped
        assert inner.physics_handles_decimation
        robot = inner.scene["robot"]
        pose = robot.data.root_link_pose_w.torch.clone()
        pose[:, 2] = 1.0
        robot.write_root_pose_to_sim_index(root_pose=pose)
        start = robot.data.joint_pos.torch.clone()
        inner.joint_action.delay_ticks[:] = torch.tensor([0, 1, 2, 3, 4, 0], dtype=torch.int32)
        action = torch.ones(6, 12)
        action[5] = 0.0
        env.step(action)
        moved = (robot.data.joint_pos.torch - start)[:, 1]
        assert moved[0] > moved[1] > moved[2] > moved[3] > moved[4] > -0.01
        torch.testing.assert_close(moved[4], moved[5], atol=1e-5, rtol=0.0)
        inner.joint_action.delay_ticks.zero_()
        env.reset()
        for _ in range(40):
            _, _, dones, _ = env.step(zeros(env))
            assert not dones.any()
        weight = 9.81 * inner.robot_spec.total_mass
        torch.testing.assert_close(inner.state.foot_force.sum(1), torch.full((6,), weight), rtol=0.1, atol=0.0)
