"""An observation of teacher and critic: how fast each foot slips."""

import torch

from legged_cts.mdp.mirrors import mirrors_as
from legged_cts.robots.symmetry import foot_mirror


@mirrors_as(foot_mirror)  # left and right feet change places; symmetry=none does without
def foot_slip(env, most: float = 2.0) -> torch.Tensor:
    """Horizontal speed [N, F] of each foot that is on the ground, in m/s, at most ``most``."""
    state = env.state
    return (state.foot_vel_w[:, :, :2].norm(dim=2) * state.foot_contact).clamp(max=most)
