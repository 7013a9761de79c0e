"""An event: something hits the robots from above."""

import torch


def struck(env, env_ids, speed: float) -> None:
    """Drive bases downward by up to ``speed`` [m/s] at once.

    Args:
        env: The environment.
        env_ids: Which robots, as indices [K] or None for all.
        speed: The most that their vertical velocity changes by [m/s].
    """
    robot = env.scene["robot"]
    ids = slice(None) if env_ids is None else env_ids
    velocity = robot.data.root_com_vel_w.torch[ids].clone()
    velocity[:, 2] -= torch.empty_like(velocity[:, 2]).uniform_(0.0, speed)
    robot.write_root_velocity_to_sim_index(root_velocity=velocity, env_ids=ids)
