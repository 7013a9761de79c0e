"""A termination: the robot kneels."""

import torch


def kneels(env, force: float = 30.0) -> torch.Tensor:
    """Whether any part but feet and base touches something with more than ``force`` [N], bool [N]."""
    return (env.state.current().penalized_force > force).any(dim=1)
