"""A reward: how far above its standing height the robot jumps."""

import torch


def jump_height(env, most: float = 0.2) -> torch.Tensor:
    """Height [N] in m of the base above where it is when the robot stands, from 0 to ``most``."""
    return (env.state.current().base_height - env.robot_spec.nominal_height).clamp(0.0, most)
